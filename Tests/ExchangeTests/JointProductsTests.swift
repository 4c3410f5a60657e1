import CLinux
import Exchange
import Interfaces
import Kernels
import Layers
import Models
import Parameters
import Sharding
import Testing
import Workers

/// When workers make products together. That it changes no bit is a scenario of ranks and threads.
@Suite struct JointProductsTests {
  @Test func smallWeightsAndManyRowsAreMultipliedAlone() throws {
    try ThreadWorkers.run(count: 2) { group in
      let setting = try Setting(group, hidden: 16)
      func isUsed(streams: Int, minimumBytes: Int = JointProducts.minimumBytes) throws -> Bool {
        let plan = BatchPlan(window: 2, sequences: streams, shards: 2, workers: 2)
        let products = try JointProducts(
          group, plan, sharesWeights: setting.isShared, minimumBytes: minimumBytes, crowded: true)
        _ = try setting.architecture.makeModel(
          setting.weights, plan, rank: group.rank, memory: group.floats(_:), Workspace(jointProducts: products))
        return products?.isUsed ?? false
      }
      let (small, large, wide) = try (
        isUsed(streams: 4, minimumBytes: 0), isUsed(streams: 4), isUsed(streams: 80, minimumBytes: 0)
      )
      #expect(small && !large && !wide)
    }
  }

  @Test func workersWithoutWeightsInCommonOrAProcessorMultiplyAlone() throws {
    try ThreadWorkers.run(count: 2) { group in
      let plan = BatchPlan(window: 2, sequences: 4, shards: 2, workers: 2)
      let apart = try JointProducts(group, plan, sharesWeights: false, crowded: true)
      #expect(apart == nil)
      let (together, processors) = (try JointProducts(group, plan, sharesWeights: true), try group.processorCount())
      #expect((together != nil) == (processors >= 2))
      bindThisThreadToOneProcessor()
      let (crowded, one) = (try JointProducts(group, plan, sharesWeights: true), try group.processorCount())
      #expect(one == 1 && crowded == nil)
    }
  }

  private struct Setting {
    let architecture: LanguageArchitecture
    let weights: PackedParameters
    let isShared: Bool

    init(_ group: any WorkerGroup, hidden: Int) throws {
      architecture = LanguageArchitecture(
        .init(cell: .lstm, vocabularySize: 5, embeddingSize: 8, hiddenSize: hidden, layers: 1))
      (weights, isShared) = try PackedParameters.shared(by: group, architecture.layout, .best, needsBackward: true) {
        _ in
      }
    }
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
