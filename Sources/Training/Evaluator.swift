import Corpus
import Failures
import Interfaces
import Models
import Sharding
import Workers

/// The loss of a model on a split of a corpus, every target counted once.
package final class Evaluator<Input> {
  private let group: any WorkerGroup
  private let scorer: any Scorer<Input>
  private let plan: BatchPlan
  private let source: any BatchSource<Input>
  /// Counts right answers, where the scorer gives answers.
  private let measure: ((_ batch: Batch<Input>, _ answers: [Int32]) -> Int)?
  /// The part of the split that this worker reads.
  package let reading: Range<Int>

  /// - Parameters:
  ///   - scorer: weights are up to date in packed form whenever ``evaluate(progress:)`` is called.
  ///   - reading: the part of the split that this worker reads.
  ///   - measure: counts the right answers of a batch; only with a ``Predictor``.
  package init(
    _ group: any WorkerGroup, _ source: any BatchSource<Input>, _ plan: BatchPlan, _ scorer: any Scorer<Input>,
    reading: Range<Int>, measure: ((_ batch: Batch<Input>, _ answers: [Int32]) -> Int)? = nil
  ) {
    (self.group, self.source, self.plan, self.scorer) = (group, source, plan, scorer)
    (self.reading, self.measure) = (reading, measure)
  }

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
  private static var batchesBetweenStops: Int { 4 }

  private func evaluate(stoppable: Bool, progress: (Double) -> Void) throws -> Evaluation? {
    var sums = [Double](repeating: 0, count: plan.shards(of: group.rank).count)
    var (targets, right) = (0, 0)
    var failure: (any Error)?
    let batch = source.makeBatch()
    let count = source.batchesPerEpoch
    scorer.resetStates()
    for index in 0..<count {
      targets += source.targets(epoch: 0, index: index)
      do {
        // A worker that has failed only waits until the others know.
        if failure == nil { right += try score(batch, index, &sums) }
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
    let nats = plan.tree.sum(try gather(sums)) / Double(targets)
    guard measure != nil else { return Evaluation(tokens: targets, natsPerToken: nats) }
    let counts = try group.gather([Int64(right)])
    return Evaluation(
      tokens: targets, natsPerToken: nats, accuracy: Double(counts.reduce(0) { $0 + $1[0] }) / Double(targets))
  }

  /// Adds the losses of a batch to the sums of this worker's shards; returns how many answers are right.
  private func score(_ batch: Batch<Input>, _ index: Int, _ sums: inout [Double]) throws -> Int {
    try source.fill(batch, at: BatchPosition(epoch: 0, index: index, step: 0))
    var nats = [Double](repeating: 0, count: batch.unitCount)
    var right = 0
    if let measure, let predictor = scorer as? any Predictor<Input> {
      var answers = [Int32](repeating: -1, count: batch.unitCount)
      try predictor.predict(batch, nats: &nats, answers: &answers)
      right = measure(batch, answers)
    } else {
      try scorer.score(batch, nats: &nats)
    }
    for (shard, sum) in batch.shardSums(nats).enumerated() { sums[shard] += sum }
    return right
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

extension Evaluator where Input == Window {
  /// The loss of a language model, recurrent or n-gram: states are carried from window to window.
  ///
  /// - Parameters:
  ///   - streams: contiguous streams that the split is cut into; each starts from a zero state.
  ///   - shards: parts that losses are summed in; at least as many as workers, and no more than streams.
  ///   - scorer: makes what measures this worker's share.
  /// - Throws: ``Failure`` where the split is too short for the streams.
  package convenience init(
    _ group: any WorkerGroup, source: any TokenSource, streams count: Int, window length: Int, shards: Int,
    scorer: (BatchPlan) throws -> any Scorer<Window>
  ) throws {
    // Says so where there are too few tokens, before anything is made for that many streams.
    let layout = try StreamLayout(tokens: source.count, streams: count, window: length, remainder: .kept)
    let plan = BatchPlan(
      window: length, steps: layout.steps(inWindow: 0), sequences: count, shards: shards, workers: group.count)
    let streams = try TokenStreams(
      source: source, streams: count, local: plan.sequences(of: group.rank), window: length, remainder: .kept)
    self.init(
      group, StreamBatches(streams, plan, rank: group.rank), plan, try scorer(plan), reading: streams.tokens)
  }
}

extension BatchPlan {
  /// The shards that losses are summed in where no run has set any: a number that follows from the sequences alone, so
  /// that the last bits are the same on any number of workers. They bound that number.
  package static func scoringShards(sequences: Int) -> Int { min(sequences, 4096) }
}
