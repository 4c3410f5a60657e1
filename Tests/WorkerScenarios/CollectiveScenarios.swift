import Failures
import Workers

/// Each collective on its own, all of them in a long row, and with messages cut small.
package let collectiveScenarios: [WorkerScenario] = [
  WorkerScenario("exchange") { workers, _ in try checkExchange(workers) },
  WorkerScenario("all-gather") { workers, _ in try checkAllGather(workers) },
  WorkerScenario("broadcast") { workers, _ in try checkBroadcast(workers) },
  WorkerScenario("all-reduce") { workers, _ in try checkAllReduce(workers) },
  WorkerScenario("share") { workers, arguments in
    if let expected = arguments.first {
      try expect(workers.sharesMemory == (expected == "together"), "memory is shared: \(workers.sharesMemory)")
    }
    try checkShare(workers)
  },
  WorkerScenario("many-steps") { workers, _ in try checkManySteps(workers) },
  // 1000 bytes stand for the 2 GiB where an MPI count ends.
  WorkerScenario("small-messages") { workers, _ in
    let workers = (workers as? MPIWorkers)?.limitingMessages(to: 1000) ?? workers
    try checkExchange(workers)
    try checkAllGather(workers)
    try checkBroadcast(workers)
    try checkAllReduce(workers)
  },
  WorkerScenario("huge-message") { workers, _ in try checkHugeMessage(workers) },
]

private func checkExchange(_ workers: any WorkerGroup) throws {
  // Nothing for some pairs and odd sizes for others, then one large message a worker, then nothing at all.
  let sizes: [@Sendable (_ sender: Int, _ receiver: Int) -> Int] = [
    { ($0 * 7 + $1 * 3) % 4 * 1001 + ($0 + $1) % 2 },
    { $1 == ($0 + 1) % 3 ? (1 << 20) + 13 : $0 },
    { _, _ in 0 },
  ]
  for (round, size) in sizes.enumerated() {
    try checkExchange(workers, "round \(round)", size: size)
  }
}

private func checkExchange(_ workers: any WorkerGroup, _ label: String, size: (Int, Int) -> Int) throws {
  let (rank, peers) = (workers.rank, 0..<workers.count)
  let sending = peers.map { peer in (0..<size(rank, peer)).map { sample(rank, peer, $0) } }
  let receiving = peers.map { UnsafeMutableRawBufferPointer.allocate(byteCount: size($0, rank), alignment: 8) }
  defer { for buffer in receiving { buffer.deallocate() } }
  for buffer in receiving { buffer.initializeMemory(as: UInt8.self, repeating: 0xEE) }

  // Copies, because pointers into several arrays at once would need a nest of closures.
  let copies = sending.map { bytes in
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
    copy.copyBytes(from: bytes)
    return copy
  }
  defer { for copy in copies { copy.deallocate() } }
  try workers.exchange(sending: copies.map { UnsafeRawBufferPointer($0) }, receiving: receiving)
  for peer in peers {
    let expected = (0..<size(peer, rank)).lazy.map { sample(peer, rank, $0) }
    try expect(receiving[peer].elementsEqual(expected), "\(label): wrong bytes from worker \(peer)")
  }
}

private func checkAllGather(_ workers: any WorkerGroup) throws {
  for scale in [1, 33, 300_000] {
    // Segments in the reverse order of the ranks, rank 1's empty, with a gap of 3 bytes before each.
    var segments: [Range<Int>] = []
    var end = 0
    for rank in (0..<workers.count).reversed() {
      let start = end + 3
      end = start + (rank == 1 ? 0 : scale + rank)
      segments.insert(start..<end, at: 0)
    }
    var bytes = [UInt8](repeating: 0xEE, count: end + 5)
    for index in segments[workers.rank] { bytes[index] = sample(workers.rank, 0, index) }
    try bytes.withUnsafeMutableBytes { try workers.allGather($0, segments: segments) }

    var expected = [UInt8](repeating: 0xEE, count: bytes.count)
    for (rank, segment) in segments.enumerated() {
      for index in segment { expected[index] = sample(rank, 0, index) }
    }
    try expect(bytes == expected, "wrong bytes at scale \(scale)")
  }
}

private func checkBroadcast(_ workers: any WorkerGroup) throws {
  for root in 0..<workers.count {
    for size in [0, 1, 33, 100_003] {
      var bytes = (0..<size).map { sample(workers.rank, 1, $0) }
      try bytes.withUnsafeMutableBytes { try workers.broadcast($0, from: root) }
      try expect(bytes == (0..<size).map { sample(root, 1, $0) }, "wrong bytes from worker \(root), size \(size)")
    }
  }
}

private func checkAllReduce(_ workers: any WorkerGroup) throws {
  for size in [0, 1, 7, 8, 33, 100_003] {
    // Small whole numbers, so that every order of additions gives the same sum.
    let value = { (rank: Int, index: Int) in Double((rank + 1) * (index % 1000 + 1)) }
    let sums = (0..<size).map { index in (0..<workers.count).reduce(0) { $0 + value($1, index) } }

    var floats = (0..<size).map { Float(value(workers.rank, $0)) }
    try floats.withUnsafeMutableBufferPointer { try workers.allReduceSum($0) }
    try expect(floats == sums.map { Float($0) }, "wrong sums of \(size) floats")

    var doubles = (0..<size).map { value(workers.rank, $0) + 0.5 }
    try doubles.withUnsafeMutableBufferPointer { try workers.allReduceSum($0) }
    try expect(doubles == sums.map { $0 + 0.5 * Double(workers.count) }, "wrong sums of \(size) doubles")
  }
}

/// Thrown where something should have failed.
private struct WrongOutcome: Error {}

private func checkShare(_ workers: any WorkerGroup) throws {
  // Of different sizes and numbers, one of them empty; twice, as models have several things to share.
  for round in 0..<2 {
    guard workers.sharesMemory else { continue }
    let sizes = [[3], [0, 5000], [], [1, 2, 3]]
    let mine = try sizes[workers.rank % 4].map { try workers.floats($0) }
    try expect(mine.allSatisfy { $0.buffer.allSatisfy { $0 == 0 } }, "new memory is not zero")
    let all = try workers.share(mine)
    for (index, buffer) in mine.enumerated() { buffer.fill(Float(100 * workers.rank + 10 * index + round)) }
    try workers.barrier()
    for (rank, buffers) in all.enumerated() {
      try expect(buffers.map(\.count) == sizes[rank % 4], "worker \(rank) shows buffers of other sizes")
      for (index, buffer) in buffers.enumerated() {
        let expected = Float(100 * rank + 10 * index + round)
        try expect(buffer.buffer.allSatisfy { $0 == expected }, "wrong values in buffer \(index) of worker \(rank)")
      }
    }
    // And what one worker writes into another's memory is there.
    try workers.barrier()
    let next = all[(workers.rank + 1) % workers.count]
    if let buffer = next.first, buffer.count > 0 { buffer.pointer.pointee = -1 }
    try workers.barrier()
    if let buffer = mine.first, buffer.count > 0 { try expect(buffer.pointer.pointee == -1, "nothing was written") }
  }
  let memory = try workers.floats(7)
  try expect(memory.count == 7 && memory.buffer.allSatisfy { $0 == 0 }, "memory that nobody shares")
  do {
    _ = try workers.floats(1 << 46)
    throw WrongOutcome()  // 256 TiB
  } catch let error as Failure {
    try expect("\(error)".contains("use a smaller model"), "\(error)")
  }
  try workers.barrier()
}

/// Short steps with uneven work: what one call leaves behind would disturb a later one.
private func checkManySteps(_ workers: any WorkerGroup) throws {
  for step in 0..<500 {
    if step % workers.count == workers.rank { for _ in 0..<(step % 7) * 1000 { _ = sample(step, step, step) } }
    try checkExchange(workers, "step \(step)") { ($0 + $1 + step) % 5 * 9 }
    var count = Double(step + workers.rank)
    try withUnsafeMutablePointer(to: &count) {
      try workers.allReduceSum(UnsafeMutableBufferPointer(start: $0, count: 1))
    }
    let ranks = workers.count * (workers.count - 1) / 2
    try expect(count == Double(step * workers.count + ranks), "step \(step): wrong sum \(count)")
    try workers.agree(nil)
    if step % 3 == 0 { try workers.barrier() }
  }
}

/// 2.25 GiB from rank 0 to the last rank and back to all: beyond the count of one MPI message.
private func checkHugeMessage(_ workers: any WorkerGroup) throws {
  let size = 9 << 28
  let (last, isFirst) = (workers.count - 1, workers.rank == 0)
  let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
  defer { bytes.deallocate() }
  let words = bytes.bindMemory(to: UInt64.self)
  let expected = { (index: Int) in UInt64(truncatingIfNeeded: index) &* 0x9E37_79B9_7F4A_7C15 }
  for index in words.indices { words[index] = isFirst ? expected(index) : 0 }

  let nothing = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  var sending = [UnsafeRawBufferPointer](repeating: UnsafeRawBufferPointer(nothing), count: workers.count)
  var receiving = [UnsafeMutableRawBufferPointer](repeating: nothing, count: workers.count)
  if last > 0 && isFirst { sending[last] = UnsafeRawBufferPointer(bytes) }
  if last > 0 && workers.rank == last { receiving[0] = bytes }
  try workers.exchange(sending: sending, receiving: receiving)
  if workers.rank == last {
    try expect(words.indices.allSatisfy { words[$0] == expected($0) }, "wrong bytes after the exchange")
  }

  if isFirst { for index in words.indices { words[index] = 1 } }
  let parts = (0..<workers.count).map { rank in rank == last ? 0..<size : 0..<0 }
  try workers.allGather(bytes, segments: parts)
  try expect(words.indices.allSatisfy { words[$0] == expected($0) }, "wrong bytes after the gathering")
}
