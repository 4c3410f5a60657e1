import Failures

/// A key with different values in two configurations; a value is nil if the key is absent.
package struct ConfigurationDifference: Sendable, Equatable {
  package var key: String
  package var saved: String?
  package var requested: String?
  /// Whether a run may be resumed despite this difference.
  package var mayChangeOnResume: Bool
}

extension RunConfiguration {
  /// The keys in which this configuration differs from the one in a checkpoint, in table order.
  package func differences(from saved: RunConfiguration) -> [ConfigurationDifference] {
    Self.keys.compactMap { key in
      // If a key applies to only one of them, the key that it depends on differs and is reported instead.
      guard key.applies(to: saved), key.applies(to: self) else { return nil }
      let (before, now) = (key.load(saved), key.load(self))
      guard before != now else { return nil }
      return ConfigurationDifference(
        key: key.path, saved: before?.yaml, requested: now?.yaml, mayChangeOnResume: key.mayChangeOnResume)
    }
  }

  /// Checks that a run saved with another configuration can be resumed with this one.
  ///
  /// Shapes, streams, gradient shards, seed and the kinds of optimiser and schedule must be the same; lengths,
  /// intervals,
  /// directories and the optimiser's constants may change.
  ///
  /// - Throws: ``Failure`` with status ``ExitStatus/usage`` that names every key that must not change.
  package func checkResumable(from saved: RunConfiguration) throws(Failure) {
    let fixed = differences(from: saved).filter { !$0.mayChangeOnResume }
    guard !fixed.isEmpty else { return }
    let list = fixed.map { "\($0.key) (\($0.saved ?? "unset") in the checkpoint, \($0.requested ?? "unset") now)" }
    throw Failure(
      .usage, "cannot resume under another \(list.joined(separator: ", "))",
      remedy: "set \(fixed.count == 1 ? "it" : "them") back, or start a new run without --resume")
  }
}
