import Corpus
import Failures
import Interfaces
import Models
import Sharding
import Workers

/// Computes the loss of a model on a split of a corpus; every target counts once.
package final class Evaluator<Input> {
  private let group: any WorkerGroup
  private let scorer: any Scorer<Input>
  private let plan: BatchPlan
  private let source: any BatchSource<Input>
  /// What measures the answers, if the scorer gives any; its counts are zero.
  private let measure: (any Measure<Input>)?
  /// The part of the split that this worker reads.
  package let reading: Range<Int>

  /// - Parameters:
  ///   - scorer: its packed weights must be up to date when ``evaluate(progress:)`` is called.
  ///   - reading: the part of the split that this worker reads.
  ///   - measure: requires a ``Predictor``.
  package init(
    _ group: any WorkerGroup, _ source: any BatchSource<Input>, _ plan: BatchPlan, _ scorer: any Scorer<Input>,
    reading: Range<Int>, measure: (any Measure<Input>)? = nil
  ) {
    (self.group, self.source, self.plan, self.scorer) = (group, source, plan, scorer)
    (self.reading, self.measure) = (reading, measure)
  }

  /// Evaluates the whole split; collective. The result is the same on every worker and for every number of workers.
  ///
  /// - Parameter progress: called after each batch with the fraction completed.
  package func evaluate(progress: (Double) -> Void = { _ in }) throws -> Evaluation {
    guard let result = try evaluate(stoppable: false, progress: progress) else {
      preconditionFailure("an evaluation that can't be stopped was")
    }
    return result
  }

  /// Like ``evaluate(progress:)``, but returns nil on every worker if one of them receives a stop signal.
  package func evaluateUnlessStopped(progress: (Double) -> Void = { _ in }) throws -> Evaluation? {
    try evaluate(stoppable: true, progress: progress)
  }

  /// Batches between checks for a stop request: few enough to stop soon, enough to make the checks cheap.
  private static var batchesBetweenStops: Int { 4 }

  private func evaluate(stoppable: Bool, progress: (Double) -> Void) throws -> Evaluation? {
    var sums = [Double](repeating: 0, count: plan.shards(of: group.rank).count)
    var (targets, measure) = (0, measure)
    var failure: (any Error)?
    let batch = source.makeBatch()
    let count = source.batchesPerEpoch
    scorer.resetStates()
    for index in 0..<count {
      targets += source.targets(epoch: 0, index: index)
      do {
        // A failed worker only continues to take part in collectives until the others know.
        if failure == nil { try score(batch, index, &sums, &measure) }
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
    guard var measure else { return Evaluation(tokens: targets, natsPerToken: nats) }
    let counts = try group.gather(measure.counts)
    measure.counts = measure.counts.indices.map { index in counts.reduce(0) { $0 + $1[index] } }
    return Evaluation(tokens: targets, natsPerToken: nats, scores: measure.scores)
  }

  /// Adds the losses of a batch to the sums of this worker's gradient shards, and its answers to the measure.
  private func score(
    _ batch: Batch<Input>, _ index: Int, _ sums: inout [Double], _ measure: inout (any Measure<Input>)?
  ) throws {
    try source.fill(batch, at: BatchPosition(epoch: 0, index: index, step: 0))
    var nats = [Double](repeating: 0, count: batch.unitCount)
    if measure != nil, let predictor = scorer as? any Predictor<Input> {
      var answers = [Int32](repeating: -1, count: batch.unitCount)
      try predictor.predict(batch, nats: &nats, answers: &answers)
      measure?.add(answers, of: batch)
    } else {
      try scorer.score(batch, nats: &nats)
    }
    for (shard, sum) in batch.shardSums(nats).enumerated() { sums[shard] += sum }
  }

  /// The sums of the gradient shards of all workers.
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
  /// Evaluates a language model, recurrent or n-gram; states are carried from window to window.
  ///
  /// - Parameters:
  ///   - streams: the number of contiguous streams of the split; each starts from a zero state.
  ///   - shards: the number of gradient shards in which losses are summed; at least the number of workers, at most that
  ///     of
  ///     streams.
  ///   - scorer: creates the scorer of this worker's share.
  /// - Throws: ``Failure`` if the split is too short for the streams.
  package convenience init(
    _ group: any WorkerGroup, source: any TokenSource, streams count: Int, window length: Int, shards: Int,
    scorer: (BatchPlan) throws -> any Scorer<Window>
  ) throws {
    // Throws if there are too few tokens, before memory for that many streams is allocated.
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
  /// The number of gradient shards for an evaluation outside a run, and so the maximum number of workers.
  ///
  /// It depends on the sequences alone, so that the result is bitwise identical for any number of workers.
  package static func scoringShards(sequences: Int) -> Int { min(sequences, 4096) }
}
