import Configuration
import Exchange
import Interfaces
import Kernels
import Optimizers
import Parameters
import Sharding
import Workers

/// One worker's copy of a model in data-parallel training: the weights, which workers may share, its tapes, and the
/// exchange that keeps all replicas equal.
package final class Replica<Input>: WorkerReplica {
  package let plan: BatchPlan
  package let weights: PackedParameters
  package let trainable: any TrainableModel<Input>
  package var model: any GradientModel { trainable }
  package let exchange: any GradientExchange
  package let workspace: Workspace
  private let group: any WorkerGroup

  /// Collective.
  ///
  /// - Parameter fill: sets the parameters' initial values, the same on every worker.
  /// - Throws: ``WorkerFailure``.
  package init(
    _ group: any WorkerGroup, _ architecture: any Architecture<Input>, _ plan: BatchPlan, _ arithmetic: Arithmetic,
    precision: Precision, _ method: TrainingMethod, fill: (ParameterStore) throws -> Void
  ) throws {
    (self.group, self.plan) = (group, plan)
    let (weights, isShared) = try PackedParameters.shared(
      by: group, architecture.layout, arithmetic, precision: precision, needsBackward: true,
      apart: method.exchange == .allreduce, fill: fill)
    self.weights = weights
    let jointProducts =
      try architecture.hasEqualBatches ? JointProducts(group, plan, sharesWeights: isShared) : nil
    let workspace = Workspace(jointProducts: jointProducts)
    self.workspace = workspace
    let model = try group.agreeing {
      try architecture.makeModel(
        weights, plan, rank: group.rank, memory: isShared ? group.floats(_:) : FloatBuffer.init(count:), workspace)
    }
    trainable = model
    try jointProducts?.connect()
    exchange =
      switch method.exchange {
      case .tree:
        try TreeExchange(
          group, model, weights, plan, method.rule, weightDecay: method.weightDecay, sharesWeights: isShared, workspace)
      case .allreduce:
        try AllReduceExchange(
          group, model, weights, plan, method.rule, weightDecay: method.weightDecay, workspace)
      }
  }

  /// Fills a batch and runs a training pass over it.
  ///
  /// - Parameter didPass: called after the pass, with the model.
  /// - Returns: the loss sum of each of this worker's gradient shards, or an error for the exchange to report to the
  ///   others.
  package func pass(
    _ batch: Batch<Input>, fill: () throws -> Void, didPass: (any GradientModel) -> Void = { _ in }
  ) -> Result<[Double], any Error> {
    Result {
      guard workspace.jointProducts?.isUsed == true else {
        try fill()
        return try run(batch, didPass)
      }
      // Joint products need every worker, so all must agree that their batches are filled.
      try group.agreeing(fill)
      return try group.alone { try run(batch, didPass) }
    }
  }

  private func run(_ batch: Batch<Input>, _ didPass: (any GradientModel) -> Void) throws -> [Double] {
    var nats = [Double](repeating: 0, count: batch.unitCount)
    try trainable.trainingPass(batch, observer: exchange, nats: &nats)
    didPass(model)
    return batch.shardSums(nats)
  }
}

/// A replica of any model, whatever its input.
package protocol WorkerReplica: AnyObject {
  var plan: BatchPlan { get }
  var weights: PackedParameters { get }
  var model: any GradientModel { get }
  var exchange: any GradientExchange { get }
  var workspace: Workspace { get }
}

extension WorkerReplica {
  /// Sets the carried states to zero, as at the start of an epoch.
  package func resetStates() { for state in model.carried { state.values.fill(0) } }
}

/// How gradients are exchanged and applied to the weights.
package struct TrainingMethod: Sendable {
  package var exchange = TrainingConfiguration.Exchange.tree
  package var rule: UpdateRule
  package var weightDecay = 0.0

  package init(exchange: TrainingConfiguration.Exchange = .tree, _ rule: UpdateRule, weightDecay: Double = 0) {
    (self.exchange, self.rule, self.weightDecay) = (exchange, rule, weightDecay)
  }

  package init(_ configuration: RunConfiguration) {
    self.init(
      exchange: configuration.training.exchange, configuration.updateRule,
      weightDecay: configuration.optimizer.weightDecay)
  }
}
