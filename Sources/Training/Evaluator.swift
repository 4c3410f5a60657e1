import Corpus
import Failures
import Interfaces
import Models
import Sharding
import Workers

/// The loss of a language model, recurrent or n-gram, on a split of a corpus: states carried from window to window, every
/// prediction counted.
package final class Evaluator {
  /// The shards that losses are summed in where no run has set any: a number that follows from the streams alone, so
  /// that the last bits are the same on any number of workers. They bound that number.
  package static func shards(streams: Int) -> Int { min(streams, 4096) }

  private let group: any WorkerGroup
  private let scorer: any Scorer<Window>
  private let plan: BatchPlan
  private let source: StreamBatches

  /// - Parameters:
  ///   - scorer: makes what measures this worker's share; weights are up to date in packed form whenever
  ///     ``evaluate(progress:)`` is called.
  ///   - streams: contiguous streams that the split is cut into; each starts from a zero state.
  ///   - shards: parts that losses are summed in; at least as many as workers, and no more than streams.
  /// - Throws: ``Failure`` where the split is too short for the streams.
  package init(
    _ group: any WorkerGroup, source: any TokenSource, streams count: Int, window length: Int, shards: Int,
    scorer: (BatchPlan) throws -> any Scorer<Window>
  ) throws {
    self.group = group
    // Says so where there are too few tokens, before anything is made for that many streams.
    let layout = try StreamLayout(tokens: source.count, streams: count, window: length, remainder: .kept)
    plan = BatchPlan(
      window: length, steps: layout.steps(inWindow: 0), sequences: count, shards: shards, workers: group.count)
    let streams = try TokenStreams(
      source: source, streams: count, local: plan.sequences(of: group.rank), window: length, remainder: .kept)
    self.source = StreamBatches(streams, plan, rank: group.rank)
    self.scorer = try scorer(plan)
  }

  /// The part of the split that this worker reads.
  package var tokens: Range<Int> { source.streams.tokens }

  /// Runs over the whole split; collective. The result is the same on every worker and for every number of workers.
  ///
  /// - Parameter progress: called after each window with the share that is done.
  package func evaluate(progress: (Double) -> Void = { _ in }) throws -> Evaluation {
    guard let result = try evaluate(stoppable: false, progress: progress) else {
      preconditionFailure("an evaluation that can't be stopped was")
    }
    return result
  }

  /// Runs over the whole split as ``evaluate(progress:)`` does; nil, on every worker, where a stop signal has reached one.
  package func evaluateUnlessStopped(progress: (Double) -> Void = { _ in }) throws -> Evaluation? {
    try evaluate(stoppable: true, progress: progress)
  }

  /// Batches between the questions whether anyone has to stop: few enough to be quick, and hardly ever asked.
  private static let batchesBetweenStops = 4

  private func evaluate(stoppable: Bool, progress: (Double) -> Void) throws -> Evaluation? {
    var sums = [Double](repeating: 0, count: plan.shards(of: group.rank).count)
    var targets = 0
    var failure: (any Error)?
    let batch = source.makeBatch()
    let count = source.batchesPerEpoch
    scorer.resetStates()
    for index in 0..<count {
      targets += source.targets(epoch: 0, index: index)
      do {
        // A worker that has failed only waits until the others know.
        if failure == nil { try score(batch, index, &sums) }
        progress(Double(index + 1) / Double(count))
      } catch let error as WorkerFailure {
        throw error
      } catch {
        failure = error
      }
      guard stoppable, group.count == 1 || (index + 1) % Self.batchesBetweenStops == 0 else { continue }
      try group.agree(failure)
      if try group.stopRequested() { return nil }
    }
    try group.agree(failure)
    return Evaluation(tokens: targets, natsPerToken: plan.tree.sum(try gather(sums)) / Double(targets))
  }

  private func score(_ batch: Batch<Window>, _ index: Int, _ sums: inout [Double]) throws {
    try source.fill(batch, at: BatchPosition(epoch: 0, index: index, step: 0))
    var nats = [Double](repeating: 0, count: batch.unitCount)
    try scorer.score(batch, nats: &nats)
    for (shard, sum) in batch.shardSums(nats).enumerated() { sums[shard] += sum }
  }

  /// The sums of the shards of all workers.
  private func gather(_ own: [Double]) throws -> [Double] {
    let shards = plan.shards(of: group.rank)
    var all = [Double](repeating: 0, count: plan.tree.count)
    all.replaceSubrange(shards, with: own)
    let width = MemoryLayout<Double>.stride
    try all.withUnsafeMutableBytes { bytes in
      try group.allGather(
        bytes,
        segments: (0..<group.count).map {
          let shards = plan.shards(of: $0)
          return (shards.lowerBound * width)..<(shards.upperBound * width)
        })
    }
    return all
  }
}
