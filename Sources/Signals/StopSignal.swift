import Failures
import Glibc
import Synchronization

/// The signals that ask a process to stop: SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 and SIGXCPU.
///
/// Batch systems send SIGTERM or a signal of the user's choice some time before the end; mpirun passes SIGUSR1 and
/// SIGUSR2 on to all ranks. A second SIGINT ends the process at once, to force an exit.
package enum StopSignal {
  private static let numbers = [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU]

  /// From now on the signals are noted instead of ending the process. SIGHUP and SIGINT stay ignored where they were,
  /// as under nohup.
  ///
  /// - Parameters:
  ///   - takesNotice: also takes SIGCONT from the parent process for a request. Open MPI's mpirun sends it as the first of
  ///     three signals when it is told to end a job: SIGCONT, SIGTERM, SIGKILL, `odls_base_sigkill_timeout` seconds apart.
  ///   - respond: called on a thread of its own with the first signal, as soon as it has come, and the promise of that
  ///     moment.
  package static func install(takesNotice: Bool = false, respond: (@Sendable (Int32, StopPromise) -> Void)? = nil) {
    clear()
    sem_init(arrival, 0, 0)
    hasResponse.store(respond == nil, ordering: .relaxed)
    if let respond { startThread(respond) }
    for number in numbers {
      if number == SIGHUP || number == SIGINT, isIgnored(number) { continue }
      handle(number, note)
    }
    guard takesNotice else { return }
    parent.store(getppid(), ordering: .relaxed)
    lastBeat.store(seconds(), ordering: .relaxed)
    lastContinuation.store(seconds() - 3, ordering: .relaxed)
    handle(SIGTSTP, suspend)
    handle(SIGCONT, noteContinuation)
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
    suspensions.store(0, ordering: .relaxed)
    givenPromise.store(currentPromise.load(ordering: .relaxed), ordering: .relaxed)
  }

  /// - Throws: ``Interruption`` where a stop was asked for.
  package static func check() throws {
    if let received { throw Interruption(signal: received) }
  }

  /// Thrown by ``check()``, for work that is given up.
  package struct Interruption: ReportableError {
    package let signal: Int32

    package var exitStatus: ExitStatus { .stoppedBySignal }
    package var description: String { "stopped by a signal before the first step; start the same command again" }
  }

  /// What a stop leads to at this moment: set by whatever is at work.
  package static var promise: StopPromise {
    get { StopPromise(rawValue: currentPromise.load(ordering: .relaxed)) ?? .end }
    set { currentPromise.store(newValue.rawValue, ordering: .relaxed) }
  }

  /// Waits, half a second at most, until the signal that was received has been responded to: the process is about to end.
  package static func awaitResponse() {
    guard received != nil else { return }
    for _ in 0..<100 where !hasResponse.load(ordering: .acquiring) { usleep(5000) }
  }

  /// Ends the process as `signal` would have done, so that the shell or script that started it sees 128 + `signal`.
  package static func end(by number: Int32) -> Never {
    signal(number, SIG_DFL)
    var mask = sigset_t()
    sigemptyset(&mask)
    sigaddset(&mask, number)
    pthread_sigmask(SIG_UNBLOCK, &mask, nil)
    kill(getpid(), number)
    // Another thread may be the one to get it, a moment later.
    usleep(1_000_000)
    _exit(128 + number)
  }

  /// What has happened, for messages.
  package static func news(of number: Int32) -> String {
    switch number {
    case SIGTERM: "SIGTERM received"
    case SIGINT: "SIGINT received"
    case SIGHUP: "SIGHUP received"
    case SIGUSR1: "SIGUSR1 received"
    case SIGUSR2: "SIGUSR2 received"
    case SIGXCPU: "SIGXCPU received"
    case SIGCONT: "mpirun is about to end the job"
    default: "signal \(number) received"
    }
  }

  // MARK: Handlers

  // They may interrupt any instruction, so they touch nothing but lock-free atomics and functions that POSIX lists as
  // async-signal-safe.

  private typealias Handler = @convention(c) (Int32, UnsafeMutablePointer<siginfo_t>?, UnsafeMutableRawPointer?) -> Void

  private static let note: Handler = { number, _, _ in
    remember(number)
    guard number == SIGINT, interrupts.add(1, ordering: .relaxed).newValue > 1 else { return }
    signal(SIGINT, SIG_DFL)
    raise(SIGINT)
  }

  private static let suspend: Handler = { _, _, _ in
    suspensions.store(1, ordering: .relaxed)
    raise(SIGSTOP)
  }

  /// A process that was suspended is only being continued, by mpirun and others at once: by SIGTSTP, or by SIGSTOP, which
  /// shows in the thread's beats alone.
  private static let noteContinuation: Handler = { number, info, _ in
    let now = seconds()
    let wasSuspended = suspensions.exchange(0, ordering: .relaxed) != 0 || now - lastBeat.load(ordering: .relaxed) >= 3
    let isNotice = info?.pointee._sifields._kill.si_pid == parent.load(ordering: .relaxed)
    guard isNotice, !wasSuspended, now - lastContinuation.load(ordering: .relaxed) >= 3 else {
      lastContinuation.store(now, ordering: .relaxed)
      return
    }
    remember(number)
  }

  private static func remember(_ number: Int32) {
    let error = errno
    if firstSignal.compareExchange(expected: 0, desired: number, ordering: .relaxed).exchanged {
      givenPromise.store(currentPromise.load(ordering: .relaxed), ordering: .relaxed)
      sem_post(arrival)
    }
    errno = error
  }

  /// System calls that a signal interrupts are begun again: libraries underneath do not expect EINTR.
  private static func handle(_ number: Int32, _ handler: @escaping Handler) {
    var action = sigaction()
    action.__sigaction_handler.sa_sigaction = handler
    action.sa_flags = SA_RESTART | SA_SIGINFO
    sigaction(number, &action, nil)
  }

  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    guard sigaction(number, nil, &action) == 0, action.sa_flags & SA_SIGINFO == 0 else { return false }
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  /// Waits for the first signal, with all signals blocked, so that handlers run on other threads.
  private static func startThread(_ respond: @escaping @Sendable (Int32, StopPromise) -> Void) {
    let context = Unmanaged.passRetained(Responder(respond)).toOpaque()
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { context in
        let responder = Unmanaged<Responder>.fromOpaque(context!).takeRetainedValue()
        StopSignal.waitForArrival()
        if let number = StopSignal.received {
          responder.respond(number, StopPromise(rawValue: givenPromise.load(ordering: .relaxed)) ?? .end)
          hasResponse.store(true, ordering: .releasing)
        }
        return nil
      }, context)
    if status == 0 { pthread_detach(thread) } else { Unmanaged<Responder>.fromOpaque(context).release() }
  }

  private static func waitForArrival() {
    repeat {
      let now = seconds()
      if now - lastBeat.exchange(now, ordering: .relaxed) >= 3 { lastContinuation.store(now, ordering: .relaxed) }
      var deadline = timespec()
      clock_gettime(CLOCK_REALTIME, &deadline)
      deadline.tv_sec += 1
      if sem_timedwait(arrival, &deadline) == 0 { return }
    } while true
  }

  private static func seconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec
  }

  private final class Responder: Sendable {
    let respond: @Sendable (Int32, StopPromise) -> Void
    init(_ respond: @escaping @Sendable (Int32, StopPromise) -> Void) { self.respond = respond }
  }
}

// Globals are initialised at first use behind a lock, which a handler must not meet: `install` uses all of them before.
private let firstSignal = Atomic<Int32>(0)
private let interrupts = Atomic<Int32>(0)
private let suspensions = Atomic<Int32>(0)
private let currentPromise = Atomic<UInt8>(0)
private let givenPromise = Atomic<UInt8>(0)
private let hasResponse = Atomic(true)
private let parent = Atomic<pid_t>(0)
private let lastBeat = Atomic<Int>(0)
private let lastContinuation = Atomic<Int>(-3)
// Safe to share: initialised once, before the thread and the handlers that use it, and never freed.
nonisolated(unsafe) private let arrival = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
