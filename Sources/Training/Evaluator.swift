import Arena
import Corpus
import Failures
import Foundation
import Recurrent
import Workers

/// The loss of a model on a split of a corpus: states carried from window to window, every prediction counted.
package final class Evaluator {
  /// A split's loss.
  package struct Result: Sendable, Equatable {
    /// Predictions: one less than the split has tokens, since nothing predicts the first.
    package var tokens: Int
    /// Mean cross-entropy, in nats.
    package var natsPerToken: Double

    package init(tokens: Int, natsPerToken: Double) {
      self.tokens = tokens
      self.natsPerToken = natsPerToken
    }

    package var perplexity: Double { exp(natsPerToken) }
    package var bitsPerToken: Double { natsPerToken / log(2) }
  }

  /// The shards that losses are summed in where no run has set any: a number that follows from the streams alone, so
  /// that the last bits are the same on any number of workers. They bound that number.
  package static func shards(streams: Int) -> Int { min(streams, 4096) }

  private let group: any WorkerGroup
  private let model: LanguageModel
  private let streams: TokenStreams
  private let window: Window
  private let losses: UnsafeMutableBufferPointer<Double>
  private let lossRanges: [Range<Int>]

  /// - Parameters:
  ///   - weights: up to date in packed form whenever ``evaluate(progress:)`` is called.
  ///   - streams: contiguous streams that the split is cut into; each starts from a zero state.
  ///   - shards: pieces that losses are summed in; at least as many as workers, and no more than streams.
  /// - Throws: ``Failure`` where the split is too short for the streams.
  package init(
    _ group: any WorkerGroup, weights: ModelWeights, source: any TokenSource, streams count: Int, window length: Int,
    shards: Int
  ) throws {
    self.group = group
    // Says so where there are too few tokens, before anything is made for that many streams.
    let layout = try StreamLayout(tokens: source.count, streams: count, window: length, remainder: .kept)
    let batch = LocalBatch(
      window: length, mostSteps: layout.steps(inWindow: 0), streams: count, shards: shards, rank: group.rank,
      workers: group.count)
    streams = try TokenStreams(source: source, streams: count, local: batch.streams, window: length, remainder: .kept)
    model = try LanguageModel(weights, batch: batch, training: false)
    window = Window(steps: batch.mostSteps, streams: batch.streams.count)
    losses = .allocate(capacity: shards)
    losses.initialize(repeating: 0)
    let width = MemoryLayout<Double>.stride
    lossRanges = (0..<group.count).map {
      let own = batch.tree.shards(ofWorker: $0, of: group.count)
      return (own.lowerBound * width)..<(own.upperBound * width)
    }
  }

  deinit { losses.deallocate() }

  /// The part of the split that this worker reads.
  package var tokens: Range<Int> { streams.tokens }

  /// Runs over the whole split; collective. The result is the same on every worker and for every number of workers.
  ///
  /// - Parameter progress: called after each window with the share that is done.
  package func evaluate(progress: (Double) -> Void = { _ in }) throws -> Result {
    guard let result = try evaluate(stoppable: false, progress: progress) else {
      preconditionFailure("an evaluation that can't be stopped was")
    }
    return result
  }

  /// Runs over the whole split as ``evaluate(progress:)`` does; nil, on every worker, where a stop signal has reached one.
  package func evaluateUnlessStopped(progress: (Double) -> Void = { _ in }) throws -> Result? {
    try evaluate(stoppable: true, progress: progress)
  }

  /// Windows between the questions whether anyone has to stop: few enough to be quick, and hardly ever asked.
  private static let windowsBetweenStops = 4

  private func evaluate(stoppable: Bool, progress: (Double) -> Void) throws -> Result? {
    let own = model.batch.shards
    for shard in own { losses[shard] = 0 }
    var failure: (any Error)?
    model.resetStates()
    for index in 0..<streams.windowCount {
      do {
        // A worker that has failed only waits until the others know.
        if failure == nil { try evaluateWindow(index) }
        progress(Double(index + 1) / Double(streams.windowCount))
      } catch let error as WorkerFailure {
        throw error
      } catch {
        failure = error
      }
      guard stoppable, group.count == 1 || (index + 1) % Self.windowsBetweenStops == 0 else { continue }
      try group.agree(failure)
      if try group.stopRequested() { return nil }
    }
    try group.agree(failure)
    try group.allGather(UnsafeMutableRawBufferPointer(losses), segments: lossRanges)
    let tokens = (0..<streams.windowCount).reduce(0) { $0 + streams.tokens(inWindow: $1) }
    return Result(tokens: tokens, natsPerToken: model.batch.tree.sum(UnsafeBufferPointer(losses)) / Double(tokens))
  }

  private func evaluateWindow(_ index: Int) throws {
    window.steps = streams.steps(inWindow: index)
    try streams.read(window: index, inputs: window.inputs, targets: window.targets)
    try model.evaluationPass(window)
    for (local, shard) in model.batch.shards.enumerated() { losses[shard] += model.shardLosses[local] }
  }
}
