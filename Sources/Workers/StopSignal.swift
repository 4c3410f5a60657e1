import Glibc
import Synchronization

/// The signals that ask a run to stop after its next checkpoint: SIGTERM, SIGINT, SIGUSR1 and SIGUSR2.
///
/// Batch systems send SIGTERM or a signal of the user's choice some time before the end; mpirun passes SIGUSR1 and
/// SIGUSR2 on to all ranks. A second SIGINT ends the process at once, for a person who means it.
package enum StopSignal {
  /// From now on the signals are noted instead of ending the process.
  package static func install() {
    clear()
    for number in [SIGTERM, SIGINT, SIGUSR1, SIGUSR2] { signal(number, note) }
  }

  /// The signal that asked for a stop, the first if there were several.
  package static var received: Int32? {
    let number = firstSignal.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }

  /// Forgets a signal that was received.
  package static func clear() {
    firstSignal.store(0, ordering: .relaxed)
    interrupts.store(0, ordering: .relaxed)
  }

  /// The handler. It may interrupt any instruction, so it touches nothing but lock-free atomics and the two functions
  /// `signal` and `raise`, which POSIX lists as async-signal-safe.
  private static let note: @convention(c) (Int32) -> Void = { number in
    _ = firstSignal.compareExchange(expected: 0, desired: number, ordering: .relaxed)
    guard number == SIGINT, interrupts.add(1, ordering: .relaxed).newValue > 1 else { return }
    signal(SIGINT, SIG_DFL)
    raise(SIGINT)
  }
}

// Globals are initialised at first use behind a lock, which a handler must not meet: `install` uses both beforehand.
private let firstSignal = Atomic<Int32>(0)
private let interrupts = Atomic<Int32>(0)
