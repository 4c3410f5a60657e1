import Failures
import Workers

/// A check that several workers make together, whatever they are: threads in `WorkersTests`, ranks under `mpirun` by the
/// command `worker-scenarios`.
///
/// The values that travel depend on the rank: the same ones everywhere would prove nothing.
package struct WorkerScenario: Sendable {
  package let name: String
  /// Throws when the check fails. All workers of the group run it with the same arguments.
  package let run: @Sendable (_ workers: any WorkerGroup, _ arguments: [String]) throws -> Void

  package init(
    _ name: String, _ run: @escaping @Sendable (_ workers: any WorkerGroup, _ arguments: [String]) throws -> Void
  ) {
    self.name = name
    self.run = run
  }
}

/// Throws with the place of the check unless `condition` holds.
package func expect(
  _ condition: Bool, _ what: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) throws {
  guard condition else { throw Failure(.softwareFault, what(), at: "\(file):\(line)") }
}

/// Byte `index` of what worker `sender` has for worker `receiver`.
func sample(_ sender: Int, _ receiver: Int, _ index: Int) -> UInt8 {
  UInt8(truncatingIfNeeded: (sender &* 31 &+ receiver &* 17 &+ index &* 7) ^ (index >> 8))
}
