import Interfaces
import Kernels
import Optimizers
import Parameters
import Sharding
import Workers

/// The exchange of common data-parallel trainers, for comparison: the library adds up whole gradients in an order of its
/// own, and every worker updates all of its weights by itself. The last bits depend on the number of workers.
package final class AllReduceExchange: GradientExchange {
  package let optimizer: Optimizer
  package let ownership: Ownership
  package let keepsWholeSlots = true
  package let sharesWeights: Bool
  package var shardLosses: [Double] { sums.shardLosses }

  private let group: any WorkerGroup
  private let plan: BatchPlan
  private let weights: PackedParameters
  private let gradients: [SubtreeGradient]
  private let workspace: Workspace
  private let sums: StepSums
  private let total: FloatBuffer

  /// - Precondition: every worker has weights of its own.
  package init(
    _ group: any WorkerGroup, _ model: any GradientModel, _ weights: PackedParameters, _ plan: BatchPlan,
    _ rule: UpdateRule, weightDecay: Double, _ workspace: Workspace
  ) throws {
    (self.group, self.plan, self.weights, self.workspace) = (group, plan, weights, workspace)
    gradients = model.gradients
    sharesWeights = group.count == 1
    ownership = Ownership(weights.layout, workers: group.count)
    sums = StepSums(group, ownership, plan)
    total = try FloatBuffer(count: weights.layout.count)
    optimizer = try Optimizer(
      rule, weightDecay: weightDecay, segment: 0..<weights.layout.count, weights.arithmetic)
  }

  package func didList(_ addend: Int) {}
  package func willRead(_ parameter: Parameter) {}
  package func didFinish(_ addend: Int) {}
  package func settle() {}

  package func complete(
    _ update: Update, losses: Result<[Double], any Error>, decide: (StepOutcome) throws -> Bool
  ) throws -> StepOutcome {
    workspace.enter(.exchange)
    total.fill(0)
    for gradient in gradients { for addend in gradient.addends.indices { add(gradient, addend) } }
    try group.allReduceSum(total.buffer)
    workspace.enter(.update)
    for block in ownership.blocks(of: group.rank) {
      let range = (block * Ownership.block)..<min((block + 1) * Ownership.block, total.count)
      sums.note(
        squares: weights.arithmetic.squaredNorm(total.pointer + range.lowerBound, count: range.count), ofBlock: block)
    }
    let outcome = try sums.outcome(losses, plan.tree, update)
    defer { workspace.enter(.other) }
    guard try decide(outcome) else { return outcome }
    let factor = GradientNorm.clippingFactor(norm: outcome.gradientNorm, limit: update.clipNorm)
    optimizer.beginStep(gradientScale: Float(update.scale * factor), learningRate: update.learningRate)
    optimizer.update(0..<total.count, of: weights.store.values, total.pointer)
    workspace.enter(.packing)
    weights.pack()
    return outcome
  }

  private func add(_ gradient: SubtreeGradient, _ addend: Int) {
    let values = gradient.matrix(addend)
    let parameter = gradient.addends[addend].parameter
    let target = total.pointer + parameter.offset
    switch gradient.addends[addend].rows {
    case .all:
      weights.arithmetic.add(values.pointer, to: target, count: parameter.count)
    case .listed:
      for (place, row) in gradient.touched[addend].enumerated() {
        weights.arithmetic.add(
          values.pointer + place * values.stride, to: target + Int(row) * values.columns, count: values.columns)
      }
    }
  }
}
