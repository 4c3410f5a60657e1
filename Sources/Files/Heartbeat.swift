import Foundation

/// Calls a function at intervals, on a thread of its own, until it is stopped.
final class Heartbeat: Sendable {
  private let interval: Duration
  private let condition = NSCondition()
  private nonisolated(unsafe) var isStopped = false  // guarded by `condition`

  init(every interval: Duration) { self.interval = interval }

  func start(_ body: @escaping @Sendable () -> Void) {
    let seconds = interval / .seconds(1)
    let thread = Thread { [self] in
      // Signals are for the threads that know them.
      var all = sigset_t()
      sigfillset(&all)
      pthread_sigmask(SIG_BLOCK, &all, nil)
      condition.lock()
      defer { condition.unlock() }
      while !isStopped {
        if condition.wait(until: Date(timeIntervalSinceNow: seconds)) { continue }
        condition.unlock()
        body()
        condition.lock()
      }
    }
    thread.stackSize = 256 << 10
    thread.start()
  }

  func stop() {
    condition.lock()
    isStopped = true
    condition.broadcast()
    condition.unlock()
  }
}
