import Checkpoints
import Corpus
import Exchange
import Foundation
import Interfaces
import Kernels
import Sharding
import Workers

/// What a task provides to the trainer: this worker's replica of the model, batches and validation.
package protocol TrainingTask: AnyObject {
  var replica: any WorkerReplica { get }
  var budget: MemoryBudget { get }
  /// The number of batches in an epoch, the same on every worker.
  var batchesPerEpoch: Int { get }
  /// The part of each split that this worker reads.
  var reading: [(split: Split, range: Range<Int>)] { get }
  /// Whether the corpus has a valid split.
  var canValidate: Bool { get }
  /// The loss of a uniform distribution over the classes, in nats per target.
  var uninformedLoss: Double { get }
  /// A line for the log that says where initial parameters were loaded from; nil for random ones.
  var initialParameters: String? { get }
  /// Lines for the log that describe model and data.
  func description(resuming checkpoint: CheckpointReader?) -> [String]

  /// The number of targets of a batch, over all workers.
  func targets(epoch: Int, index: Int) -> Int
  /// The number of time steps of a batch.
  func steps(epoch: Int, index: Int) -> Int

  /// Fills the batch at a position and runs a training pass over it.
  ///
  /// - Parameters:
  ///   - willFill: called before the batch is filled; an error that it throws becomes the result.
  ///   - didPass: called after the pass, with the model.
  /// - Returns: the loss sum of each of this worker's gradient shards, or an error for the exchange to report to the
  ///   others.
  func pass(at position: BatchPosition, willFill: () throws -> Void, didPass: (any GradientModel) -> Void)
    -> Result<[Double], any Error>

  /// Evaluates the valid split; collective. Returns nil on every worker if one of them receives a stop signal.
  ///
  /// - Parameter progress: called with the fraction completed.
  func validate(progress: (Double) -> Void) throws -> Evaluation?

  /// A description of the random generator; together with seed and position it is the whole random state.
  var randomStream: String { get }
  /// The state for a checkpoint besides the position.
  var trainingState: [String: Double] { get }
  /// How far each stream has been read; empty for a task without streams.
  func streamPositions(window: Int) -> [Int64]
  /// The position at which a run resumes from a checkpoint. Throws ``Failure`` (bad data) for another corpus, or a
  /// position
  /// outside it.
  func position(of checkpoint: CheckpointReader) throws -> TrainingPosition
}

/// The result of evaluating a model on a split.
package struct Evaluation: Sendable, Equatable {
  /// The number of targets. For a text, one fewer than the split's tokens, since nothing predicts the first.
  package var tokens: Int
  /// Mean cross-entropy, in nats.
  package var natsPerToken: Double
  package var scores: Scores

  package init(tokens: Int, natsPerToken: Double, scores: Scores = Scores()) {
    (self.tokens, self.natsPerToken, self.scores) = (tokens, natsPerToken, scores)
  }

  package var perplexity: Double { exp(natsPerToken) }
  package var bitsPerToken: Double { natsPerToken / log(2) }
}
