import Interfaces
import Optimizers
import Sharding

/// What all workers know of a step after they have exchanged gradients: the same bits on each.
package struct StepOutcome: Sendable, Equatable {
  /// Summed cross-entropy over the global batch, in nats.
  package var lossSum = 0.0
  /// Norm of the gradient before clipping.
  package var gradientNorm = 0.0
  /// A stop signal has reached some worker.
  package var stopRequested = false

  package var isFinite: Bool { lossSum.isFinite && gradientNorm.isFinite }
}

/// What turns summed gradients into an update.
package struct Update: Sendable {
  /// Turns sums into the gradient: 1 / targets, or 1 / streams. Sums travel, never means.
  package var scale: Double
  /// The most that the gradient's norm may be; 0: no limit.
  package var clipNorm: Double
  package var learningRate: Double

  package init(scale: Double, clipNorm: Double, learningRate: Double) {
    (self.scale, self.clipNorm, self.learningRate) = (scale, clipNorm, learningRate)
  }
}

/// Adds up the gradients of all workers, clips them by their global norm, updates the weights, and hands every worker the
/// new weights. It observes the passes whose gradients it exchanges.
///
/// An exchange knows addends, weights, plan and workers, and no model.
package protocol GradientExchange: PassObserver {
  var optimizer: Optimizer { get }
  /// Which part of the arena each worker updates.
  var ownership: Ownership { get }
  /// Whether every worker keeps the slots of the whole arena, and not only those of its segment.
  var keepsWholeSlots: Bool { get }
  /// Whether the workers hold one copy of the weights between them.
  var sharesWeights: Bool { get }
  /// Summed cross-entropy of each gradient shard in the last step, in nats: of all workers.
  var shardLosses: [Double] { get }

  /// Ends a step after its training pass; collective.
  ///
  /// - Parameters:
  ///   - losses: the loss sums of this worker's shards, or the error of its pass; then every worker throws it.
  ///   - decide: sees the outcome before any weight changes, the same on every worker. It returns whether to update:
  ///     otherwise weights, slots and the count of updates stay as they are. What it throws stops the step.
  func complete(
    _ update: Update, losses: Result<[Double], any Error>, decide: (StepOutcome) throws -> Bool
  ) throws -> StepOutcome

  /// Returns when all new weights are here and packed: before scoring, decoding and checkpoints; collective.
  func settle() throws
}
