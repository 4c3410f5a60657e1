import Failures
import Synchronization
import Testing
import WorkerScenarios
import Workers

private let threadScenarios =
  collectiveScenarios.filter { $0.name != "huge-message" } + agreementScenarios.filter { $0.name != "stop-signal" }

@Suite(.timeLimit(.minutes(1)))
struct ThreadWorkersTests {
  @Test(arguments: threadScenarios.map(\.name), [1, 2, 3, 4])
  func scenario(_ name: String, count: Int) throws {
    let scenario = try #require(threadScenarios.first { $0.name == name })
    try ThreadWorkers.run(count: count) { try scenario.run($0, []) }
  }

  @Test(arguments: threadScenarios.map(\.name))
  func scenarioAlone(_ name: String) throws {
    let scenario = try #require(threadScenarios.first { $0.name == name })
    try scenario.run(SingleWorker(), [])
  }

  @Test func everyWorkerRunsOnceAndKnowsItself() throws {
    let seen = Mutex<[Int]>([])
    try ThreadWorkers.run(count: 33) { workers in
      #expect(workers.count == 33)
      seen.withLock { $0.append(workers.rank) }
    }
    #expect(seen.withLock { $0.sorted() } == Array(0..<33))
  }

  @Test func stackHoldsDeepCalls() throws {
    @inline(never) @Sendable func depth(_ levels: Int) -> Int {
      withUnsafeTemporaryAllocation(byteCount: 900, alignment: 8) { buffer in
        buffer.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: levels))
        return levels == 0 ? 0 : depth(levels - 1) + Int(buffer[0] & 0) + 1
      }
    }
    // 8000 frames of more than 900 bytes are over 7 MiB.
    try ThreadWorkers.run(count: 2) { _ in #expect(depth(8000) == 8000) }
  }

  @Test func sumsAreAddedInTheOrderOfRanks() throws {
    // 1e8 + 1 is 1e8 in Float, so ((1e8 + 1) - 1e8) + 1 is 1, and other orders give 0 or 2.
    let terms: [Float] = [1e8, 1, -1e8, 1]
    try ThreadWorkers.run(count: 4) { workers in
      var values = [Float](repeating: terms[workers.rank], count: 33)
      try values.withUnsafeMutableBufferPointer { try workers.allReduceSum($0) }
      #expect(values == [Float](repeating: 1, count: 33))
    }
  }

  @Test func gatheringIntoOneSharedBufferLeavesItAsItIs() throws {
    let shared = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 4)
    defer { shared.deallocate() }
    shared.initialize(repeating: 9)
    nonisolated(unsafe) let buffer = shared  // each worker writes its own element, with a collective after it
    try ThreadWorkers.run(count: 4) { workers in
      buffer[workers.rank] = UInt8(workers.rank)
      try workers.allGather(UnsafeMutableRawBufferPointer(buffer), segments: (0..<4).map { $0..<$0 + 1 })
      #expect(Array(buffer) == [0, 1, 2, 3])
      try workers.barrier()
    }
  }
}
