import Exchange
import Interfaces
import Kernels
import Optimizers
import Parameters
import Sharding
import Workers

/// A model without layers, whose gradients are random numbers of shard, step, addend, row and column: what an exchange has
/// to do with all kinds of addends, and with a frozen parameter.
package final class MadeUpModel: TrainableModel {
  package struct Sizes: Sendable {
    package var dense = 40_000
    package var rows = 900
    package var columns = 37
    package init() {}
  }

  package let layout: ParameterLayout
  package let addends: [Addend]
  package let gradients: [SubtreeGradient]
  package var carried: [CarriedState] { [] }
  package let inputRows = InputRows()
  private let plan: BatchPlan

  package init(_ plan: BatchPlan, rank: Int, _ sizes: Sizes, memory: FloatMemory) throws {
    self.plan = plan
    var layout = ParameterLayout()
    // A table in the middle, so that its rows straddle blocks and segments.
    let first = layout.declare("first", [sizes.dense / 8, 8], .product)
    let table = layout.declare("table", [sizes.rows, sizes.columns], .table)
    let frozen = layout.declare("frozen", [3000], .bias)
    let tied = layout.declare("tied", [sizes.rows, sizes.columns], [.table, .product])
    let last = layout.declare("last", [sizes.dense / 4], .bias)
    self.layout = layout
    var addends = AddendList()
    for parameter in [last, tied] { _ = addends.enroll(parameter) }
    _ = addends.enroll(table, .listed)
    _ = addends.enroll(first)
    _ = addends.enroll(tied, .listed)
    self.addends = addends.addends
    precondition(!self.addends.contains { $0.parameter == frozen })
    let list = self.addends
    gradients = try plan.subtrees(of: rank).map { try SubtreeGradient(list, plan, $0, memory: memory) }
  }

  package func trainingPass(_ batch: Batch<Int>, observer: any PassObserver, nats: inout [Double]) throws {
    let step = batch.input
    for index in addends.indices where addends[index].rows == .listed {
      for gradient in gradients { gradient.touched[index] = touched(index, gradient.node.shards, step) }
      try observer.didList(index)
    }
    for index in addends.indices {
      let parameter = addends[index].parameter
      try observer.willRead(parameter)
      for gradient in gradients {
        let sum = sum(index, gradient.node, step)
        let rows = addends[index].rows == .all ? Array(0..<Int32(parameter.rows)) : gradient.touched[index]
        for (place, row) in rows.enumerated() {
          for column in 0..<parameter.columns {
            gradient.values[index].buffer[place * parameter.columns + column] =
              sum[Int(row) * parameter.columns + column]
          }
        }
      }
      try observer.didFinish(index)
    }
  }

  /// The rows that some shards touch, ascending.
  private func touched(_ addend: Int, _ shards: Range<Int>, _ step: Int) -> [Int32] {
    (0..<Int32(addends[addend].parameter.rows)).filter { row in
      shards.contains { isTouched(addend, $0, Int(row), step) }
    }
  }

  private func isTouched(_ addend: Int, _ shard: Int, _ row: Int, _ step: Int) -> Bool {
    let word = RandomStream.philox((UInt32(row), UInt32(shard), UInt32(step), 7), key: (UInt32(addend), 1)).0
    return word % 60 == 0 || row == 3
  }

  /// The gradient of an addend under a node of the tree, dense, each addition as the tree has it.
  package func sum(_ addend: Int, _ node: ShardTree.Node, _ step: Int) -> [Float] {
    guard node.level > 0 else { return leaf(addend, node.index, step) }
    let (left, right) = plan.tree.children(of: node)
    let sum = sum(addend, left, step)
    guard let right else { return sum }
    return zip(sum, self.sum(addend, right, step)).map { $0 + $1 }
  }

  private func leaf(_ addend: Int, _ shard: Int, _ step: Int) -> [Float] {
    let parameter = addends[addend].parameter
    var random = RandomStream(seed: UInt64(addend + 10 * step), stream: UInt64(shard))
    return (0..<parameter.rows).flatMap { row in
      let isZero = addends[addend].rows == .listed && !isTouched(addend, shard, row, step)
      return (0..<parameter.columns).map { _ in isZero ? 0 : Float(random.nextUnit() * 2 - 1) }
    }
  }
}

/// An exchange over a ``MadeUpModel`` against its naive twin: the sums of whole trees, and one update of the whole arena.
package struct ExchangeCheck: Sendable {
  package var rule: UpdateRule
  package var weightDecay: Double
  package var shards: Int
  package var sizes = MadeUpModel.Sizes()

  package init(_ rule: UpdateRule, weightDecay: Double = 0, shards: Int) {
    (self.rule, self.weightDecay, self.shards) = (rule, weightDecay, shards)
  }

  /// Every rule, with what makes it move weights whose gradient is zero and without.
  package static let all: [ExchangeCheck] = [
    ExchangeCheck(.sgd(momentum: 0), shards: 5), ExchangeCheck(.sgd(momentum: 0), weightDecay: 0.01, shards: 8),
    ExchangeCheck(.sgd(momentum: 0.9), shards: 7), ExchangeCheck(.adagrad(epsilon: 1e-10), shards: 4),
    ExchangeCheck(.adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8), shards: 6),
    ExchangeCheck(.rmsprop(alpha: 0.99, epsilon: 1e-8), shards: 9),
  ]

  /// Runs some steps; collective. Returns the first difference; nil where all bits are those of the twin.
  package func firstDifference(_ group: any WorkerGroup) throws -> String? {
    let plan = BatchPlan(window: 100, sequences: 2 * shards, shards: shards, workers: group.count)
    let layout = try MadeUpModel(plan, rank: group.rank, sizes, memory: FloatBuffer.init(count:)).layout
    func fill(_ store: ParameterStore) { Initialization.uniform(range: 0.5).fill(store, hiddenSize: 1, seed: 4) }
    let (weights, isShared) = try PackedParameters.shared(by: group, layout, .best, needsBackward: true, fill: fill)
    let model = try MadeUpModel(plan, rank: group.rank, sizes, memory: group.floats(_:))
    let exchange = try TreeExchange(
      group, model, weights, plan, rule, weightDecay: weightDecay, sharesWeights: isShared, Workspace())
    let twin = try Twin(model, rule, weightDecay: weightDecay, fill: fill)
    let batch = Batch(0, units: [])
    for step in 0..<3 {
      batch.input = step
      var nats: [Double] = []
      try model.trainingPass(batch, observer: exchange, nats: &nats)
      let losses = plan.shards(of: group.rank).map { 1 / Double($0 + step + 1) }
      let update = Update(scale: 0.125, clipNorm: 1, learningRate: 0.05)
      let outcome = try exchange.complete(update, losses: .success(losses)) { _ in true }
      try (exchange as any GradientExchange).settle()
      let expected = try twin.step(model, plan, step, update)
      if outcome.gradientNorm.bitPattern != expected.norm.bitPattern { return "step \(step): norm \(outcome)" }
      let sum = plan.tree.sum((0..<shards).map { 1 / Double($0 + step + 1) })
      if outcome.lossSum.bitPattern != sum.bitPattern { return "step \(step): loss \(outcome)" }
      for (place, value) in expected.weights.enumerated()
      where value.bitPattern != weights.store.values.buffer[place].bitPattern {
        return "step \(step): weight \(place) is \(weights.store.values.buffer[place]) instead of \(value)"
      }
      let packed = try PackedParameters(layout, .best, needsBackward: true)
      _ = packed.store.values.buffer.update(from: weights.store.values.buffer)
      packed.pack()
      for (found, expected) in zip(weights.packedForms, packed.packedForms)
      where !zip(found.buffer, expected.buffer).allSatisfy({ $0.bitPattern == $1.bitPattern }) {
        return "step \(step): packed weights"
      }
      // Another worker must not change shared weights before this one has compared them.
      try group.barrier()
    }
    return nil
  }

  /// Dense sums, one norm, one update.
  private struct Twin {
    private let store: ParameterStore
    private let optimizer: Optimizer

    init(_ model: MadeUpModel, _ rule: UpdateRule, weightDecay: Double, fill: (ParameterStore) -> Void) throws {
      store = try ParameterStore(model.layout)
      fill(store)
      optimizer = try Optimizer(rule, weightDecay: weightDecay, segment: 0..<model.layout.count, .best)
    }

    func step(
      _ model: MadeUpModel, _ plan: BatchPlan, _ step: Int, _ update: Update
    ) throws -> (norm: Double, weights: [Float]) {
      let gradient = try FloatBuffer(count: model.layout.count)
      for (index, addend) in model.addends.enumerated() {
        for (place, value) in model.sum(index, plan.tree.root, step).enumerated() {
          gradient.buffer[addend.parameter.offset + place] += value
        }
      }
      var squares = 0.0
      for block in 0..<Ownership.blocks(of: gradient.count) {
        let start = block * Ownership.block
        squares += Arithmetic.best.squaredNorm(
          gradient.pointer + start, count: min(Ownership.block, gradient.count - start))
      }
      let norm = squares.squareRoot() * update.scale
      let factor = GradientNorm.clippingFactor(norm: norm, limit: update.clipNorm)
      optimizer.beginStep(gradientScale: Float(update.scale * factor), learningRate: update.learningRate)
      let trained = Set(model.addends.map(\.parameter))
      for parameter in model.layout.parameters where trained.contains(parameter) {
        optimizer.update(parameter.range, of: store.values, gradient.pointer + parameter.offset)
      }
      return (norm, Array(store.values.buffer))
    }
  }
}
