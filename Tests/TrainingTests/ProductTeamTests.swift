import Arena
import CLinux
import Kernels
import Recurrent
import Testing
import Training
import Workers

/// Who makes products together. That it changes no bit is a scenario of ranks and threads.
@Suite struct ProductTeamTests {
  @Test func smallWeightsAndManyRowsAreMultipliedAlone() throws {
    try ThreadWorkers.run(count: 2) { group in
      let (weights, _) = try Self.weights(group, hidden: 16)
      func team(streams: Int, minimumBytes: Int = ProductTeam.minimumBytes, sharesWeights: Bool = true) throws
        -> ProductTeam?
      {
        let batch = LocalBatch(window: 2, streams: streams, shards: 2, rank: group.rank, workers: 2)
        return try ProductTeam(
          group, weights, batch: batch, sharesWeights: sharesWeights, minimumBytes: minimumBytes, crowded: true)
      }
      #expect(try team(streams: 4, minimumBytes: 0) != nil)
      #expect(try team(streams: 4) == nil)
      #expect(try team(streams: 80, minimumBytes: 0) == nil)
      #expect(try team(streams: 4, minimumBytes: 0, sharesWeights: false) == nil)
    }
  }

  @Test func workersWithoutAProcessorEachMultiplyAlone() throws {
    try ThreadWorkers.run(count: 2) { group in
      let (weights, isShared) = try Self.weights(group, hidden: 740)
      let batch = LocalBatch(window: 2, streams: 4, shards: 2, rank: group.rank, workers: 2)
      func team() throws -> ProductTeam? {
        try ProductTeam(group, weights, batch: batch, sharesWeights: isShared)
      }
      #expect(try (team() != nil) == (group.processorCount() >= 2))
      bindThisThreadToOneProcessor()
      #expect(try group.processorCount() == 1)
      #expect(try team() == nil)
    }
  }

  private static func weights(
    _ group: any WorkerGroup, hidden: Int
  ) throws -> (weights: ModelWeights, isShared: Bool) {
    let shape = ModelShape(cell: .lstm, vocabularySize: 5, embeddingSize: 8, hiddenSize: hidden, layers: 1)
    return try ModelWeights.shared(by: group, shape, .best, training: true) { _ in }
  }
}

/// Binds the calling thread to the first processor that it may run on.
private func bindThisThreadToOneProcessor() {
  var allowed = cpu_set_t()
  let size = MemoryLayout<cpu_set_t>.size
  guard sched_getaffinity(0, size, &allowed) == 0 else { return }
  withUnsafeMutableBytes(of: &allowed) { bytes in
    guard let first = bytes.firstIndex(where: { $0 != 0 }) else { return }
    let lowest = bytes[first] & (~bytes[first] &+ 1)
    for index in bytes.indices { bytes[index] = index == first ? lowest : 0 }
  }
  _ = sched_setaffinity(0, size, &allowed)
}
