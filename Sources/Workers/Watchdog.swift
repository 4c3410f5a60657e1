import CLinux
import Crypto
import Failures
import Files
import Foundation
import Synchronization

/// Watches the other ranks from a thread of its own while the worker computes, or waits for them in MPI.
///
/// It makes no MPI call and costs the step loop nothing: the worker leaves its place in an ``Activity``, and the thread
/// sends it to the others about once a second. A rank that waits for long names those that it waits for; where a limit
/// is set it ends the job. The end of another process of the same machine is noticed immediately.
final class Watchdog: Sendable {
  /// What happens to a rank that keeps the others waiting.
  struct Rules: Sendable {
    /// Seconds of waiting after which the job ends; nil: never.
    var limit: Double?
    /// How the limit is called in messages.
    var limitName = ""
    /// What to do after the job has ended, for messages.
    var remedy: String?
  }

  private let rank: Int
  private let activity: Activity
  private let contacts: [Contact]
  private let neighbours: [Neighbour]
  private let token: UInt64
  private let warnEvery: Double
  private let beat: Double
  private let rules = Mutex(Rules())
  /// By rank, what stands for the error that ended it; 0 without one.
  private let errors: Mutex<[UInt64]>
  private let thread = Mutex<WorkerThread?>(nil)
  private let isEnding = Atomic<Bool>(false)
  private let socket: HeartbeatSocket
  private let wakeUp: (read: Int32, write: Int32)

  /// Where a rank runs and can be reached.
  struct Contact: Codable, Sendable {
    let worker: WorkerName
    let process: Int32
    /// The same for processes that can see each other's ends; empty where the system doesn't tell.
    let machine: String
    let endpoints: [HeartbeatSocket.Endpoint]
    let activity: SharedMemory.Place?
  }

  /// A rank that is a process of the same machine.
  private final class Neighbour: Sendable {
    let rank: Int
    /// Can be read once the process has ended; -1 where the system has no such descriptors.
    let descriptor: Int32
    /// What it publishes; nil where this process may not look.
    let activity: Activity?

    init(rank: Int, _ contact: Contact) {
      self.rank = rank
      descriptor = ls_pidfd_open(contact.process)
      activity = try? contact.activity.map { try Activity(mapping: $0) }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    var hasEnded: Bool {
      var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      return descriptor >= 0 && poll(&state, 1, 0) == 1
    }
  }

  /// Starts a watchdog on every rank; collective. nil where there is no one to watch, or no socket to be had.
  static func start(_ ranks: MPIWorkers, _ activity: Activity) throws -> Watchdog? {
    guard ranks.count > 1 else { return nil }
    let socket = HeartbeatSocket()
    let contacts = try ranks.gather(
      Contact(
        worker: ranks.name, process: getpid(), machine: Self.machine, endpoints: socket?.endpoints ?? [],
        activity: activity.place))
    let token = try ranks.fromFirst { UInt64.random(in: 1...UInt64.max) }
    let neighbours = contacts.indices.compactMap { peer -> Neighbour? in
      guard peer != ranks.rank, contacts[peer].machine == contacts[ranks.rank].machine else { return nil }
      return contacts[peer].machine.isEmpty ? nil : Neighbour(rank: peer, contacts[peer])
    }
    try ranks.barrier()
    activity.close()
    guard let socket, let watchdog = Watchdog(ranks.rank, activity, contacts, neighbours, token, socket) else {
      return nil
    }
    try? watchdog.startThread()
    return watchdog
  }

  private init?(
    _ rank: Int, _ activity: Activity, _ contacts: [Contact], _ neighbours: [Neighbour], _ token: UInt64,
    _ socket: HeartbeatSocket
  ) {
    var ends: [Int32] = [-1, -1]
    guard pipe2(&ends, O_CLOEXEC | O_NONBLOCK) == 0 else { return nil }
    wakeUp = (ends[0], ends[1])
    (self.socket, self.neighbours) = (socket, neighbours)
    (self.rank, self.activity, self.contacts, self.token) = (rank, activity, contacts, token)
    errors = Mutex(Array(repeating: 0, count: contacts.count))
    warnEvery = Self.warningInterval
    // Heartbeats of all to all: with many ranks they come less often.
    beat = min(max(1, Double(contacts.count) / 32), warnEvery / 6)
  }

  deinit {
    close(wakeUp.read)
    close(wakeUp.write)
  }

  /// Seconds between warnings: a minute, or for tests what LOCKSTEP_STALL_WARNING says.
  private static var warningInterval: Double {
    let given = ProcessInfo.processInfo.environment["LOCKSTEP_STALL_WARNING"].flatMap { Double($0) }
    return given.map { max(0.5, $0) } ?? 60
  }

  private static var machine: String {
    let boot = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
    var namespace = stat()
    guard let boot, stat("/proc/self/ns/pid", &namespace) == 0 else { return "" }
    return "\(boot) \(namespace.st_ino)"
  }

  var remedy: String? { rules.withLock { $0.remedy } }

  func set(_ rules: Rules) { self.rules.withLock { $0 = rules } }

  /// Tells the others that this rank leaves on purpose, and ends the thread.
  func stop() {
    sayGoodbye()
    isEnding.store(true, ordering: .relaxed)
    _ = write(wakeUp.write, [0], 1)
    thread.withLock { thread in
      thread?.join()
      thread = nil
    }
  }

  /// Tells the others that this rank leaves on purpose. From any thread.
  func sayGoodbye() { send(Activity.Snapshot(.ended)) }

  /// Tells the others of an error that ends this rank in the middle of something, and returns whether all of them end by
  /// the same one at the same time. Takes half a second if they don't.
  func isSharedByAll(_ error: any Error) -> Bool {
    let digest = max(1, SHA256.hash(data: Data("\(error)".utf8)).withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
    let end = Self.now() + Self.secondsForLastWords
    while true {
      send(Activity.Snapshot(.ended), error: digest)
      let isShared = errors.withLock { errors in
        errors[rank] = digest
        return errors.allSatisfy { $0 == digest }
      }
      if isShared {
        // The others wait for this one's word as well.
        send(Activity.Snapshot(.ended), error: digest)
        return true
      }
      guard Self.now() < end else { return false }
      usleep(20_000)
    }
  }

  private static let secondsForLastWords = 0.5

  private func send(_ snapshot: Activity.Snapshot, error: UInt64 = 0) {
    let message = HeartbeatSocket.Message(token: token, rank: UInt64(rank), snapshot: snapshot, error: error)
    for (peer, contact) in contacts.enumerated() where peer != rank {
      for endpoint in contact.endpoints { socket.send(message, to: endpoint) }
    }
  }

  private func startThread() throws {
    let started = try WorkerThread(name: "watchdog", stackSize: 1 << 20) { [self] in
      // Signals are for the thread that computes.
      var all = sigset_t()
      sigfillset(&all)
      pthread_sigmask(SIG_BLOCK, &all, nil)
      watch()
    }
    thread.withLock { $0 = started }
  }

  private static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}

// MARK: - The thread

extension Watchdog {
  private func watch() {
    let start = Self.now()
    var watch = PeerWatch(rank: rank, workers: contacts.map(\.worker), beat: beat, now: start)
    var ended: Set<Int> = []
    var (nextBeat, nextWarning, end) = (start, 0.0, Double.infinity)
    var last = start
    while !isEnding.load(ordering: .relaxed) {
      wait(until: nextBeat, for: neighbours.filter { !ended.contains($0.rank) }.map(\.descriptor))
      let now = Self.now()
      if now - last > 3 * beat { watch.skip(now - last - beat) }
      last = now
      watch.note(own: activity.snapshot, at: now)
      while let message = socket.receive() {
        guard message.token == token, message.rank < UInt64(contacts.count) else { continue }
        watch.note(message.snapshot, of: Int(message.rank), at: now)
        if message.error != 0 { errors.withLock { $0[Int(message.rank)] = message.error } }
      }
      for neighbour in neighbours {
        if let snapshot = neighbour.activity?.snapshot { watch.note(place: snapshot, of: neighbour.rank, at: now) }
      }
      if noteEnds(&ended, watch, isEnding: end < .infinity) { end = min(end, now + Self.secondsForLauncher) }
      // A launcher that has not ended the job by now will not.
      if now > end { _exit(ExitStatus.softwareFault.rawValue) }
      guard now >= nextBeat else { continue }
      nextBeat = now + beat
      send(watch.snapshot)
      let rules = self.rules.withLock { $0 }
      if let limit = rules.limit { endIfStalled(watch, limit: limit, rules, at: now) }
      if watch.waited(at: now) < warnEvery {
        nextWarning = 0
      } else if now >= nextWarning {
        nextWarning = now + warnEvery
        warn(watch, at: now)
      }
    }
  }

  private func wait(until time: Double, for descriptors: [Int32]) {
    var waiting = ([wakeUp.read, socket.descriptor] + descriptors).map {
      pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
    }
    let milliseconds = max(0, min(60_000, (time - Self.now()) * 1000)).rounded(.up)
    _ = poll(&waiting, nfds_t(waiting.count), Int32(milliseconds))
  }

  private func warn(_ watch: PeerWatch, at now: Double) {
    guard let text = stall(watch, limit: warnEvery, at: now), watch.isSpeaker(at: now) else { return }
    StandardError.print("warning: \(text)")
  }

  /// Ends the job where a rank has kept the others waiting for too long. MPI can't be asked to: this is not its thread.
  private func endIfStalled(_ watch: PeerWatch, limit: Double, _ rules: Rules, at now: Double) {
    guard let text = stall(watch, limit: limit, at: now) else { return }
    // The others have come to the same conclusion; should the speaker fail to speak, they do.
    guard watch.isSpeaker(at: now) || watch.waited(at: now) > limit + max(5, 6 * beat) else { return }
    let failure = Failure(.softwareFault, text, at: rules.limitName, remedy: rules.remedy)
    StandardError.print("error: \(failure)")
    sayGoodbye()
    _exit(ExitStatus.softwareFault.rawValue)
  }

  /// What keeps this rank waiting for `limit` seconds or more; nil if nothing does.
  private func stall(_ watch: PeerWatch, limit: Double, at now: Double) -> String? {
    let waited = "waited \(Int(watch.waited(at: now))) s in \(watch.snapshot.place)"
    switch watch.verdict(limit: limit, at: now) {
    case .fine: return nil
    case .late(let late):
      let most = 4
      let names = late.prefix(most).map(\.description).joined(separator: "; ")
      return "\(waited) for \(names)" + (late.count > most ? "; and \(late.count - most) more ranks" : "")
    case .everyoneWaits: return "\(waited), and so have all other ranks: messages between them don't arrive"
    }
  }

  private static let secondsForLauncher = 10.0

  /// Reports a process of this machine that has ended without having said so, and returns whether there is one. The
  /// launcher usually ends the job a moment later.
  private func noteEnds(_ ended: inout Set<Int>, _ watch: PeerWatch, isEnding: Bool) -> Bool {
    var isOneLost = false
    for neighbour in neighbours where !ended.contains(neighbour.rank) && neighbour.hasEnded {
      ended.insert(neighbour.rank)
      let peer = watch.peers[neighbour.rank]
      // Once one rank has left, the launcher ends the others; that needs no report.
      guard !isEnding, !watch.peers.contains(where: \.saidGoodbye) else { continue }
      isOneLost = true
      // The lowest of the survivors speaks.
      guard !neighbours.contains(where: { $0.rank < rank && !$0.hasEnded }) else { continue }
      let failure = Failure(
        .softwareFault, "its process \(contacts[neighbour.rank].process) has ended without a word",
        at: "\(peer.worker)", cause: "last known in \(peer.snapshot.place)", remedy: remedy)
      StandardError.print("error: \(failure)")
    }
    return isOneLost
  }
}
