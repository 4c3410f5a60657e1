import Checkpoints
import Failures

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
