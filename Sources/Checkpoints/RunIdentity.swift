/// Identifies the run that a directory and its files belong to.
///
/// Created once, when a run starts, and recorded in its configuration, metrics and checkpoints. Resuming in an empty
/// directory makes a fork: a new run that records its parent.
package struct RunIdentity: Equatable, Hashable, Sendable {
  /// 16 random hexadecimal digits.
  package let id: String
  /// Where a fork started; nil for a run that started from initial weights.
  package let parent: Parent?

  package struct Parent: Equatable, Hashable, Sendable {
    /// The parent's id; nil if its checkpoint is of version 1, which has none.
    package let run: String?
    package let step: Int

    package init(run: String?, step: Int) {
      (self.run, self.step) = (run, step)
    }
  }

  package init(id: String, parent: Parent? = nil) {
    (self.id, self.parent) = (id, parent)
  }

  /// A new random identity.
  package static func make(parent: Parent? = nil) -> RunIdentity {
    let digits = String(UInt64.random(in: 0...UInt64.max), radix: 16)
    return RunIdentity(id: String(repeating: "0", count: 16 - digits.count) + digits, parent: parent)
  }
}

extension RunIdentity: CustomStringConvertible {
  package var description: String {
    guard let parent else { return id }
    return "\(id), a fork of \(parent.run ?? "an unnamed run") at step \(parent.step)"
  }
}
