import Checkpoints
import Failures
import Interfaces
import Kernels
import Models

extension CheckpointReader {
  /// The configuration that the run had.
  ///
  /// - Throws: ``Failure`` (bad data) if this program can't read it.
  package func savedConfiguration() throws -> RunConfiguration {
    try RunConfiguration(checkpoint: header, at: path)
  }

  /// The architecture of the language model.
  ///
  /// - Throws: ``Failure`` (bad data) if the checkpoint is of another task.
  package func languageArchitecture() throws -> LanguageArchitecture {
    let configuration = try savedConfiguration()
    guard configuration.task == .languageModel else {
      throw Failure(
        .badData, "is a model for \(configuration.task.rawValue), not a language model", at: path,
        remedy: "name a checkpoint of a run with task language_model")
    }
    return configuration.languageArchitecture(vocabularySize: header.vocabulary.count)
  }

  /// The architecture of the tagger.
  ///
  /// - Throws: ``Failure`` (bad data) if the checkpoint is of another task.
  package func taggerArchitecture() throws -> TaggerArchitecture {
    let configuration = try savedConfiguration()
    guard configuration.task == .tagging else {
      throw Failure(
        .badData, "is a model for \(configuration.task.rawValue), which has no answers to lines of text", at: path,
        remedy: "name a checkpoint of a run with task tagging; 'lockstep generate' continues a text")
    }
    return configuration.taggerArchitecture(vocabularySize: header.vocabulary.count, labels: header.labels ?? [])
  }

  /// The weights, packed for the forward pass only.
  package func readWeights(_ architecture: some Architecture, _ arithmetic: Arithmetic) throws -> PackedParameters {
    let weights = try PackedParameters(architecture.layout, arithmetic, needsBackward: false)
    try readParameters(into: weights.store)
    weights.pack()
    return weights
  }
}

extension RunConfiguration {
  /// The configuration recorded in a checkpoint.
  ///
  /// - Throws: ``Failure`` (bad data) if this program can't read it.
  package init(checkpoint header: CheckpointHeader, at path: String) throws {
    do {
      try self.init(yaml: header.configuration, source: "\(path):/config")
    } catch {
      throw Failure(.badData, error.what, at: error.place, cause: error.cause, remedy: error.remedy)
    }
  }
}
