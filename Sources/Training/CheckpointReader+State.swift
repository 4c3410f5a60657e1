import Checkpoints
import Failures

extension CheckpointReader {
  /// A number of the training state.
  /// - Throws: ``Failure`` (bad data) if the file lacks it.
  func trainingNumber(_ key: String) throws -> Double {
    guard let value = header.trainingState[key] else { throw incomplete("/training/state", key) }
    return value
  }

  /// A count of the training state.
  /// - Throws: ``Failure`` (bad data) if the file lacks it or has another value there.
  func trainingCount(_ key: String) throws -> Int {
    guard let value = header.trainingState.count(key), value >= 0 else { throw incomplete("/training/state", key) }
    return value
  }

  /// The error for a file that lacks a part of the run's state, without which a resumed run would differ.
  func incomplete(_ group: String, _ key: String) -> Failure {
    Failure(
      .badData, "lacks '\(key)', or holds something else there, so the run can't be resumed from it",
      at: "\(path):\(group)",
      remedy: "resume from another checkpoint")
  }
}

extension [String: Double] {
  /// The value of a key as an integer; nil if there is none or it is not an integer.
  func count(_ key: String) -> Int? { self[key].flatMap { Int(exactly: $0) } }
}
