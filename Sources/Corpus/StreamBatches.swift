import Interfaces
import Kernels
import Parameters
import Sharding

/// The windows of a worker's token streams as batches of a language model.
package final class StreamBatches: BatchSource {
  package let streams: TokenStreams
  private let plan: BatchPlan
  private let rank: Int

  /// - Parameter streams: those of worker `rank` in `plan`.
  package init(_ streams: TokenStreams, _ plan: BatchPlan, rank: Int) {
    precondition(streams.local == plan.sequences(of: rank), "streams of another worker")
    (self.streams, self.plan, self.rank) = (streams, plan, rank)
  }

  package var batchesPerEpoch: Int { streams.windowCount }

  package func targets(epoch: Int, index: Int) -> Int { streams.tokens(inWindow: index) }

  package func makeBatch() -> Batch<Window> {
    let batch = Batch(Window(steps: plan.steps, streams: streams.local.count), units: plan.rowLists(of: rank))
    batch.keys = streams.local.map { SequenceKey(draw: 0, sequence: UInt32($0)) }
    return batch
  }

  package func fill(_ batch: Batch<Window>, at position: BatchPosition) throws {
    let steps = streams.steps(inWindow: position.index)
    batch.input.steps = steps
    batch.step = position.step
    batch.targets = targets(epoch: position.epoch, index: position.index)
    for index in batch.keys.indices { batch.keys[index].draw = UInt64(position.step) }
    plan.list(batch.units, of: rank, count: plan.sequences, batch.input.layout)
    try streams.read(
      window: position.index, inputs: batch.input.tokens.values, targets: batch.input.targets.values)
  }

  /// Bytes of a worker's batch.
  package static func batchBytes(_ plan: BatchPlan, rank: Int) -> Int {
    3 * MemoryLayout<Int32>.stride * plan.mostRows(of: rank)
  }
}
