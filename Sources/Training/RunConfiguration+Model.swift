import Configuration
import Corpus
import Interfaces
import Parameters

extension RunConfiguration {
  /// Gives the parameters their first values: tensors of a file where the configuration names one, else random ones.
  ///
  /// - Parameter corpus: whose vocabulary a file must have, if it has one.
  /// - Returns: a line that says what was loaded; nil for random values.
  /// - Throws: what reading the file met; what in it does not fit.
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

  /// What an epoch does with the tokens that don't fill streams and windows evenly.
  package var epochRemainder: StreamLayout.Remainder {
    switch data.lastWindow {
    case .drop: .droppedWithShortWindow
    case .keep: .dropped
    }
  }
}
