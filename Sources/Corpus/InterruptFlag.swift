import Foundation
import Synchronization

/// Remembers an interrupt or a request to terminate, so that work can be put away before the process ends.
package enum InterruptFlag {
  /// The signal that came, or 0. Lock-free, as a signal handler needs.
  private static let signal = Atomic<Int32>(0)

  /// Thrown by ``check()``.
  package struct Interrupted: Error {
    package let signal: Int32
  }

  /// Catches SIGINT and SIGTERM from now on. A second one ends the process at once.
  package static func install() {
    signal.store(0, ordering: .relaxed)  // also initialises it, outside the handler
    for number in [SIGINT, SIGTERM] {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { InterruptFlag.signal.store($0, ordering: .relaxed) }
      action.sa_flags = CInt(bitPattern: UInt32(SA_RESETHAND))
      sigaction(number, &action, nil)
    }
  }

  /// - Throws: ``Interrupted`` where a signal has come.
  package static func check() throws {
    let number = signal.load(ordering: .relaxed)
    if number != 0 { throw Interrupted(signal: number) }
  }

  /// Ends the process as the signal would have done, so that a calling script sees it.
  package static func end(by signal: Int32) -> Never {
    Foundation.signal(signal, SIG_DFL)
    raise(signal)
    exit(128 + signal)
  }
}
