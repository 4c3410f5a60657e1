import Failures

/// A key whose value is not the same in two configurations; nil where the key is absent.
package struct ConfigurationDifference: Sendable, Equatable {
  package var key: String
  package var saved: String?
  package var requested: String?
  /// Whether a run may be resumed in spite of this difference.
  package var mayChangeOnResume: Bool
}

extension RunConfiguration {
  /// The keys in which this configuration differs from the one that a checkpoint was written under, in table order.
  package func differences(from saved: RunConfiguration) -> [ConfigurationDifference] {
    Self.keys.compactMap { key in
      // Where a key means something in only one of them, the key that it depends on differs and stands for it.
      guard key.applies(to: saved), key.applies(to: self) else { return nil }
      let (before, now) = (key.load(saved), key.load(self))
      guard before != now else { return nil }
      return ConfigurationDifference(
        key: key.path, saved: before?.yaml, requested: now?.yaml, mayChangeOnResume: key.mayChangeOnResume)
    }
  }

  /// Checks that a run that was saved under another configuration can go on under this one.
  ///
  /// Shapes, streams, shards, seed and the kinds of optimiser and schedule must stay; lengths, intervals, directories
  /// and the optimiser's constants may change.
  ///
  /// - Throws: a ``Failure`` with status ``ExitStatus/usage`` that names every key that stands in the way.
  package func checkResumable(from saved: RunConfiguration) throws(Failure) {
    let fixed = differences(from: saved).filter { !$0.mayChangeOnResume }
    guard !fixed.isEmpty else { return }
    let list = fixed.map { "\($0.key) (\($0.saved ?? "unset") in the checkpoint, \($0.requested ?? "unset") now)" }
    throw Failure(
      .usage, "cannot resume under another \(list.joined(separator: ", "))",
      remedy: "set \(fixed.count == 1 ? "it" : "them") back, or start a new run without --resume")
  }
}
