import Failures
import Parameters
import Synchronization

/// What the threads of one ``ThreadWorkers/run(count:stackSize:_:)`` share.
final class ThreadTeam: @unchecked Sendable {
  // Safe: element r of `posted` is written by worker r between collectives and read by all inside of them, with a
  // barrier on either side; all else is constant, atomic or behind a lock.

  /// What a worker shows the others during one collective.
  enum Posting {
    case nothing
    case barrier
    case broadcast(UnsafeRawBufferPointer)
    case exchange(UnsafeBufferPointer<UnsafeRawBufferPointer>)
    case allGather(UnsafeRawBufferPointer)
    case sum(UnsafeMutableRawBufferPointer)
    case agreement((any Error)?)
    case share([FloatBuffer])
  }

  let count: Int
  let barrier: CollectiveBarrier
  let posted: UnsafeMutableBufferPointer<Posting>

  private struct Endings {
    /// By rank: the errors of workers that failed by themselves.
    var failed: [Int: any Error] = [:]
    /// Workers that a collective has told about another's failure: what they throw after that is a consequence.
    var interrupted: Set<Int> = []
  }
  private let endings = Mutex(Endings())

  init(count: Int) {
    self.count = count
    barrier = CollectiveBarrier(parties: count)
    posted = .allocate(capacity: count)
    posted.initialize(repeating: .nothing)
  }

  deinit {
    posted.deinitialize()
    posted.deallocate()
  }

  /// One collective: posts `posting`, waits for the others, runs `body` while all are inside, waits for all to be done.
  ///
  /// Throws ``WorkerInterrupted`` when another worker has failed, the error of `body`, or a `Failure` when the workers
  /// make different calls.
  func meet(_ rank: Int, _ posting: Posting, _ body: () throws -> Void) throws {
    posted[rank] = posting
    guard barrier.wait() else {
      endings.withLock { _ = $0.interrupted.insert(rank) }
      throw WorkerInterrupted()
    }
    let outcome = Result { () throws in
      if let (other, call) = differentCall(from: posting) {
        throw Failure(
          .softwareFault, "worker \(rank) is in '\(posting.call)' while worker \(other) is in '\(call)'")
      }
      try body()
    }
    // Unbreakable: all have begun the body, none waits in it, and others may still read what this worker has posted.
    _ = barrier.wait(unbreakable: true)
    try outcome.get()
  }

  private func differentCall(from posting: Posting) -> (rank: Int, call: String)? {
    for other in 0..<count where posted[other].call != posting.call { return (other, posted[other].call) }
    return nil
  }

  /// Notes that worker `rank` can't go on, and ends the others.
  func fail(_ error: any Error, rank: Int) {
    endings.withLock {
      if !$0.interrupted.contains(rank) && $0.failed[rank] == nil { $0.failed[rank] = error }
    }
    barrier.breakUp()
  }

  /// The error to report once all threads have ended: of the lowest rank that failed by itself.
  var firstError: (any Error)? {
    endings.withLock {
      if let rank = $0.failed.keys.min() { return $0.failed[rank] }
      guard let rank = $0.interrupted.min() else { return nil }
      return Failure(.softwareFault, "worker \(rank) waited in a collective for a worker that had already returned")
    }
  }
}

extension ThreadTeam.Posting {
  /// The call's name, short enough to need no allocation.
  var call: String {
    switch self {
    case .nothing: "nothing"
    case .barrier: "barrier"
    case .broadcast: "broadcast"
    case .exchange: "exchange"
    case .allGather: "allGather"
    case .sum: "allReduceSum"
    case .agreement: "agree"
    case .share: "share"
    }
  }
}
