import Configuration
import Corpus
import Interfaces
import Parameters

extension RunConfiguration {
  /// Sets the parameters' initial values: the tensors of the configured file, or random ones without a file.
  ///
  /// - Parameter corpus: a file with a vocabulary must have this corpus's.
  /// - Returns: a line for the log that says what was loaded; nil for random values.
  /// - Throws: ``Failure`` if the file can't be read or does not match.
  @discardableResult
  package func initialize(
    _ parameters: ParameterStore, _ architecture: any Architecture, corpus: CorpusReader? = nil
  ) throws -> String? {
    guard let path = model.initialParameters else {
      architecture.initialize(parameters, initialization, seed: UInt64(training.seed))
      return nil
    }
    return try load(path, into: parameters, architecture, corpus: corpus)
  }

  /// What an epoch does with the tokens that don't divide evenly into streams and windows.
  package var epochRemainder: StreamLayout.Remainder {
    switch data.lastWindow {
    case .drop: .droppedWithShortWindow
    case .keep: .dropped
    }
  }
}
