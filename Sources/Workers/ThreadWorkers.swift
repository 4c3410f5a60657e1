import Failures
import Parameters

/// Starts workers that are threads of this process.
package enum ThreadWorkers {
  /// Runs `body` on `count` threads and returns when all have ended.
  ///
  /// A body that throws ends the others: their current or next collective throws ``WorkerInterrupted``. Thrown here is
  /// the error of the lowest rank among those that failed by themselves, once all threads are joined.
  ///
  /// - Parameter stackSize: bytes per thread; the system's default may be too small for deep call chains in libraries.
  package static func run(
    count: Int, stackSize: Int = 16 << 20, _ body: @escaping @Sendable (any WorkerGroup) throws -> Void
  ) throws {
    precondition(count >= 1)
    let team = ThreadTeam(count: count)
    var threads: [WorkerThread] = []
    do {
      for rank in 0..<count {
        let thread = try WorkerThread(name: "worker \(rank)", stackSize: stackSize) {
          do {
            try body(ThreadWorker(rank: rank, team: team))
            team.barrier.leave()
          } catch {
            team.fail(error, rank: rank)
          }
        }
        threads.append(thread)
      }
    } catch {
      // Too few threads for a barrier: those that run are told at their first collective.
      team.barrier.breakUp()
      for thread in threads { thread.join() }
      throw error
    }
    for thread in threads { thread.join() }
    if let error = team.firstError { throw error }
  }
}

/// One worker's view of a ``ThreadTeam``.
private struct ThreadWorker: WorkerGroup {
  let rank: Int
  let team: ThreadTeam

  var count: Int { team.count }

  func barrier() throws {
    try team.meet(rank, .barrier) {}
  }

  func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    precondition(0..<count ~= root)
    try team.meet(rank, .broadcast(UnsafeRawBufferPointer(bytes))) {
      guard rank != root, case .broadcast(let source) = team.posted[root] else { return }
      try checkSize(source.count, from: root, expected: bytes.count)
      bytes.copyMemory(from: source)
    }
  }

  func exchange(sending: [UnsafeRawBufferPointer], receiving: [UnsafeMutableRawBufferPointer]) throws {
    precondition(sending.count == count && receiving.count == count)
    try sending.withUnsafeBufferPointer { sending in
      try team.meet(rank, .exchange(sending)) {
        for turn in 0..<count {
          // Round from one's own rank, so that the workers read from different ones.
          let peer = (rank + turn) % count
          guard case .exchange(let offered) = team.posted[peer] else { continue }
          try checkSize(offered[rank].count, from: peer, expected: receiving[peer].count)
          receiving[peer].copyMemory(from: offered[rank])
        }
      }
    }
  }

  func allGather(_ bytes: UnsafeMutableRawBufferPointer, segments: [Range<Int>]) throws {
    precondition(segments.count == count)
    try team.meet(rank, .allGather(UnsafeRawBufferPointer(bytes))) {
      for turn in 1..<count {
        let peer = (rank + turn) % count
        guard case .allGather(let source) = team.posted[peer] else { continue }
        if source.baseAddress == UnsafeRawPointer(bytes.baseAddress) { continue }
        try checkSize(source.count, from: peer, expected: bytes.count)
        let segment = segments[peer]
        UnsafeMutableRawBufferPointer(rebasing: bytes[segment]).copyMemory(from: .init(rebasing: source[segment]))
      }
    }
  }

  func allReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws { try sum(values) }
  func allReduceSum(_ values: UnsafeMutableBufferPointer<Double>) throws { try sum(values) }

  private func sum<Value: BinaryFloatingPoint>(_ values: UnsafeMutableBufferPointer<Value>) throws {
    try team.meet(rank, .sum(UnsafeMutableRawBufferPointer(values))) {
      // Each worker adds up a part of its own, for all: no one else reads or writes that part of any buffer.
      let part = values.count * rank / count..<values.count * (rank + 1) / count
      let total = try buffer(of: 0, like: values)
      for peer in 1..<count {
        let addend = try buffer(of: peer, like: values)
        for index in part { total[index] += addend[index] }
      }
      for peer in 1..<count {
        let copy = try buffer(of: peer, like: values)
        for index in part { copy[index] = total[index] }
      }
    }
  }

  /// The buffer that `peer` has posted for a sum.
  private func buffer<Value>(
    of peer: Int, like values: UnsafeMutableBufferPointer<Value>
  ) throws -> UnsafeMutableBufferPointer<Value> {
    guard case .sum(let bytes) = team.posted[peer] else { return values }
    try checkSize(bytes.count, from: peer, expected: values.count * MemoryLayout<Value>.stride)
    return bytes.assumingMemoryBound(to: Value.self)
  }

  func agree(_ failure: (any Error)?) throws {
    var agreed: WorkerFailure?
    try team.meet(rank, .agreement(failure)) {
      let reports = team.posted.enumerated().compactMap { peer, posting -> WorkerFailure.Report? in
        guard case .agreement(let error?) = posting else { return nil }
        return WorkerFailure.Report(error, of: WorkerName(rank: peer, host: nil))
      }
      agreed = WorkerFailure(reports, of: count)
    }
    if let agreed { throw agreed }
  }

  var sharesMemory: Bool { true }

  func floats(_ count: Int) throws -> FloatBuffer { try FloatBuffer(count: count) }

  func share(_ buffers: [FloatBuffer]) throws -> [[FloatBuffer]] {
    var all: [[FloatBuffer]] = []
    try team.meet(rank, .share(buffers)) {
      for case .share(let buffers) in team.posted { all.append(buffers) }
    }
    return all
  }

  func abandon(_ error: any Error) { team.fail(error, rank: rank) }

  private func checkSize(_ size: Int, from peer: Int, expected: Int) throws {
    guard size == expected else {
      throw Failure(.softwareFault, "worker \(peer) gave \(size) bytes where worker \(rank) expected \(expected)")
    }
  }
}
