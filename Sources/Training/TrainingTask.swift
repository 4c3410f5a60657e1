import Checkpoints
import Corpus
import Exchange
import Foundation
import Interfaces
import Kernels
import Sharding
import Workers

/// What a task brings to the trainer: its replica of the model, its batches, and how a validation measures it.
package protocol TrainingTask: AnyObject {
  var replica: any WorkerReplica { get }
  var budget: MemoryBudget { get }
  /// Batches of an epoch, the same on every worker.
  var batchesPerEpoch: Int { get }
  /// What this worker reads of each split.
  var reading: [(split: Split, range: Range<Int>)] { get }
  /// Whether the corpus has a validation split.
  var canValidate: Bool { get }
  /// The loss of a uniform distribution over the classes, in nats per target.
  var uninformedLoss: Double { get }
  /// What the initial parameters were loaded from, as a line for the log; nil for random ones.
  var initialParameters: String? { get }
  /// Model and data, each as a line for the log.
  func description(resuming checkpoint: CheckpointReader?) -> [String]

  /// Scored targets of a batch, over all workers.
  func targets(epoch: Int, index: Int) -> Int
  /// Time steps of a batch.
  func steps(epoch: Int, index: Int) -> Int

  /// Fills the batch at a position and runs a training pass over it.
  ///
  /// - Parameters:
  ///   - willFill: called before the batch is filled; what it throws is the error of the pass.
  ///   - didPass: called after the pass, with the model.
  /// - Returns: the loss sum of each of this worker's shards, or the error that the exchange is to tell the others.
  func pass(at position: BatchPosition, willFill: () throws -> Void, didPass: (any GradientModel) -> Void)
    -> Result<[Double], any Error>

  /// Measures the validation split; collective. Nil, on every worker, where a stop signal has reached one.
  ///
  /// - Parameter progress: called with the share that is done.
  func validate(progress: (Double) -> Void) throws -> Evaluation?

  /// How random numbers are drawn: with the seed and the position, the whole random state.
  var randomStream: String { get }
  /// What a checkpoint keeps of the data besides the position.
  var trainingState: [String: Double] { get }
  /// How far each sequence that is carried from batch to batch has come; empty where none is.
  func streamPositions(window: Int) -> [Int64]
  /// Where a run continues from a checkpoint. Throws ``Failure`` (bad data) for another corpus, or a position that it
  /// does not have.
  func position(of checkpoint: CheckpointReader) throws -> TrainingPosition
}

/// What a model's loss on a split comes to.
package struct Evaluation: Sendable, Equatable {
  /// Predictions that count. Of a text one less than the split has tokens, since nothing predicts the first.
  package var tokens: Int
  /// Mean cross-entropy, in nats.
  package var natsPerToken: Double
  /// The share of right answers; nil for a language model, which gives none.
  package var accuracy: Double?

  package init(tokens: Int, natsPerToken: Double, accuracy: Double? = nil) {
    (self.tokens, self.natsPerToken, self.accuracy) = (tokens, natsPerToken, accuracy)
  }

  package var perplexity: Double { exp(natsPerToken) }
  package var bitsPerToken: Double { natsPerToken / log(2) }
}
