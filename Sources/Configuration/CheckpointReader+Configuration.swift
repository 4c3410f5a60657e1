import Checkpoints
import Failures
import Kernels
import Models

extension CheckpointReader {
  /// The configuration that the run had. Throws ``Failure`` (bad data) where this program can't read it.
  package func savedConfiguration() throws -> RunConfiguration {
    try RunConfiguration(checkpoint: header, at: path)
  }

  /// The language model that the parameters are of.
  package func architecture() throws -> LanguageArchitecture {
    try savedConfiguration().languageArchitecture(vocabularySize: header.vocabulary.count)
  }

  /// The weights, packed for reading.
  package func readWeights(_ arithmetic: Arithmetic) throws -> PackedParameters {
    let weights = try PackedParameters(try architecture().layout, arithmetic, needsBackward: false)
    try readParameters(into: weights.store)
    weights.pack()
    return weights
  }
}
