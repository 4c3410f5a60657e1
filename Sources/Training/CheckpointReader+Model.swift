import Arena
import Checkpoints
import Configuration
import Corpus
import Failures
import Kernels
import Recurrent

extension CheckpointReader {
  /// The configuration that the run had. Throws ``Failure`` (bad data) where this program can't read it.
  package func savedConfiguration() throws -> RunConfiguration {
    try RunConfiguration(checkpoint: header, at: path)
  }

  /// The vocabulary that the model's token ids belong to.
  package func vocabulary() throws -> Vocabulary {
    guard let tokenizer = Tokenizer(rawValue: header.tokenizer) else {
      throw Failure(
        .badData, "unknown tokenizer '\(header.tokenizer)'", at: path,
        remedy: "open it with the version of lockstep that wrote it")
    }
    return try Vocabulary(tokenizer: tokenizer, tokens: header.vocabulary)
  }

  /// Fills all parameters; their names and shapes must be those of the checkpoint.
  package func readParameters(into store: ParameterStore) throws {
    for parameter in store.layout.parameters {
      try readParameter(parameter.name, shape: parameter.shape, into: store.values[parameter.range])
    }
  }

  /// What the model looks like.
  package func modelShape() throws -> ModelShape {
    try savedConfiguration().modelShape(vocabularySize: header.vocabulary.count)
  }

  /// The model, for generation.
  package func makeModelWeights(_ arithmetic: Arithmetic) throws -> ModelWeights {
    let weights = try ModelWeights(try modelShape(), arithmetic, training: false)
    try readParameters(into: weights.parameters)
    return weights
  }
}

extension CheckpointReader {
  /// A number of the training state.
  /// - Throws: ``Failure`` (bad data) where the file lacks it.
  func trainingNumber(_ key: String) throws -> Double {
    guard let value = header.trainingState[key] else { throw incomplete("/training/state", key) }
    return value
  }

  /// A count of the training state.
  func trainingCount(_ key: String) throws -> Int {
    guard let value = header.trainingState.count(key), value >= 0 else { throw incomplete("/training/state", key) }
    return value
  }

  /// What to throw where the file lacks a part of the run's state: a run resumed without it would not be the same.
  func incomplete(_ group: String, _ key: String) -> Failure {
    Failure(
      .badData, "lacks '\(key)', or holds something else there, so the run can't be resumed from it",
      at: "\(path):\(group)",
      remedy: "resume from another checkpoint")
  }
}

extension [String: Double] {
  /// A number that counts something; nil where there is none, or one that no program of ours has written.
  func count(_ key: String) -> Int? { self[key].flatMap { Int(exactly: $0) } }
}
