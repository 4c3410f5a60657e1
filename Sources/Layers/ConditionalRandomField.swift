import Interfaces
import Kernels
import Parameters
import Sharding

/// The scores of each label at each position: a linear layer.
final class Emissions {
  let weight: Parameter  // [K, H]
  let bias: Parameter  // [K]
  private let weights: PackedParameters
  private let product: Product
  private let values: FloatBuffer

  init(weight: Parameter, bias: Parameter, _ weights: PackedParameters, rows: Int) throws {
    (self.weight, self.bias, self.weights) = (weight, bias, weights)
    product = weights.forwardProduct(weight)
    values = try FloatBuffer(count: rows * weight.rows)
  }

  /// [rows, K], valid until the next call.
  func forward(_ input: MatrixView, _ observer: any PassObserver) throws -> MatrixView {
    try observer.willRead(weight)
    try observer.willRead(bias)
    let emissions = values.matrix(input.rows, weight.rows)
    guard input.rows > 0 else { return emissions }
    try product.multiply(input, into: emissions)
    for row in 0..<emissions.rows {
      weights.arithmetic.add(weights.floats(bias), to: emissions.pointer + row * emissions.stride, count: weight.rows)
    }
    return emissions
  }
}

extension MatrixView {
  /// The rows of a sequence, by step.
  fileprivate func rows(of sequence: Int, _ layout: TimeMajorRows) -> [UnsafePointer<Float>] {
    (0..<layout.length(of: sequence)).map {
      UnsafePointer(pointer + layout.row(step: $0, sequence: sequence) * stride)
    }
  }
}

/// The training loss of a conditional random field over the labels of each sequence: every position has one, see
/// ``LabelChain``. All rows of a batch are units.
package final class ChainLoss: OutputLayer {
  private let weights: PackedParameters
  private let workspace: Workspace
  private let emissions: Emissions
  private let chain: LabelChain
  private let backward: Product
  private let addends: Addends
  /// The place of each row among the batch's units.
  private let placeOfRow: Buffer<Int32>
  /// The gradients of start, end and transitions, one for each level of the shard tree.
  private let partialSums: [FloatBuffer]

  private struct Addends {
    let weight: Int
    let bias: Int
    let start: Int
    let end: Int
    let transitions: Int
  }

  /// - Parameters:
  ///   - rows: positions of a batch, at most.
  ///   - steps: of the longest sequence.
  ///   - levels: of the shard tree.
  package init(
    weight: Parameter, bias: Parameter, _ parameters: ChainParameters, _ weights: PackedParameters, rows: Int,
    steps: Int, levels: Int, _ workspace: Workspace, _ list: inout AddendList
  ) throws {
    (self.weights, self.workspace) = (weights, workspace)
    emissions = try Emissions(weight: weight, bias: bias, weights, rows: rows)
    chain = LabelChain(parameters, weights, steps: steps)
    backward = weights.backwardProduct(weight)
    addends = Addends(
      weight: list.enroll(weight), bias: list.enroll(bias), start: list.enroll(parameters.start),
      end: list.enroll(parameters.end), transitions: list.enroll(parameters.transitions))
    placeOfRow = Buffer(repeating: 0, count: rows)
    let labels = weight.rows
    partialSums = try (0...levels).map { _ in try FloatBuffer(count: labels * (labels + 2)) }
  }

  /// Bytes that an object allocates.
  package static func bytes(labels: Int, rows: Int, steps: Int, levels: Int) -> Int {
    4 * (rows * (labels + 1) + (levels + 1) * labels * (labels + 2)) + LabelChain.bytes(labels: labels, steps: steps)
  }

  package func list(_ targets: Buffer<Int32>, _ pass: BackwardPass) {}

  package func lossAndGradient(
    _ input: MatrixView, dInput: MatrixView, targets: Buffer<Int32>, units: [ShardRows], _ pass: BackwardPass,
    nats: inout [Double]
  ) throws {
    let (observer, layout) = (pass.forward.observer, pass.forward.layout)
    workspace.enter(.softmax)
    let scores = try emissions.forward(input, observer)
    workspace.probe?.visit("label scores", scores, layout)
    try chain.read(observer)
    var place: Int32 = 0
    for row in units.lazy.flatMap(\.rows) {
      placeOfRow[Int(row)] = place
      place += 1
    }
    for (units, gradient) in zip(units, pass.gradients) {
      let sum = partialSums[partialSums.count - 1]
      try sumTree(units.node, Rows(units: units, scores: scores, targets: targets, layout: layout), into: sum, 0, &nats)
      let k = chain.labels
      for (addend, offset) in [(addends.start, 0), (addends.end, k), (addends.transitions, 2 * k)] {
        let values = gradient.values[addend]
        values.pointer.update(from: sum.pointer + offset, count: values.count)
      }
    }
    workspace.probe?.visit("gradient of the label scores", scores, layout)
    if input.rows > 0 { try backward.multiply(scores, into: dInput) }
    workspace.enter(.weightGradients)
    pass.write(outputs: scores, inputs: input, rows: units, weight: addends.weight, bias: addends.bias)
    for addend in [addends.weight, addends.bias, addends.start, addends.end, addends.transitions] {
      try pass.finish(addend, workspace)
    }
  }

  /// What the sequences of a subtree have in common.
  private struct Rows {
    let units: ShardRows
    /// Emissions, replaced by their gradients.
    let scores: MatrixView
    let targets: Buffer<Int32>
    let layout: TimeMajorRows
  }

  /// Writes the gradients of start, end and transitions, summed along the tree.
  private func sumTree(
    _ node: ShardTree.Node, _ rows: Rows, into out: FloatBuffer, _ depth: Int, _ nats: inout [Double]
  ) throws {
    let first = node.shards.lowerBound - rows.units.node.shards.lowerBound
    if node.level == 0 { return sumShard(first, rows, into: out, &nats) }
    let (left, right) = ShardTree(count: node.shards.upperBound).children(of: node)
    try sumTree(left, rows, into: out, depth, &nats)
    guard let right else { return }
    try sumTree(right, rows, into: partialSums[depth], depth + 1, &nats)
    weights.arithmetic.add(partialSums[depth].pointer, to: out.pointer, count: out.count)
  }

  private func sumShard(_ shard: Int, _ rows: Rows, into out: FloatBuffer, _ nats: inout [Double]) {
    let (k, layout) = (chain.labels, rows.layout)
    var (start, end) = ([Double](repeating: 0, count: k), [Double](repeating: 0, count: k))
    var transitions = [Double](repeating: 0, count: k * k)
    // The rows of the first time step are the sequences.
    for row in rows.units.rows[rows.units.places(of: shard..<(shard + 1))] where row < layout.sequences {
      let sequence = Int(row)
      let emissions = rows.scores.rows(of: sequence, layout)
      chain.read(emissions)
      var (marginals, label): ([Double]?, Int32?) = (nil, nil)
      for t in emissions.indices {
        let row = layout.row(step: t, sequence: sequence)
        let target = rows.targets[row]
        nats[Int(placeOfRow[row])] = chain.loss(step: t, label: target, before: label)
        if let before = marginals, let label {
          chain.addTransitions(step: t, after: before, to: &transitions)
          transitions[Int(label) * k + Int(target)] -= 1
        }
        let current = chain.marginals(step: t, after: marginals)
        if t == 0 { Self.add(current, less: target, to: &start) }
        if t == emissions.count - 1 { Self.add(current, less: target, to: &end) }
        let gradient = rows.scores.pointer + row * rows.scores.stride
        for j in 0..<k { gradient[j] = Float(current[j] - (j == Int(target) ? 1 : 0)) }
        (marginals, label) = (current, target)
      }
    }
    for (index, value) in (start + end + transitions).enumerated() { out.pointer[index] = Float(value) }
  }

  /// Adds probabilities, less 1 at the label that is right.
  private static func add(_ probabilities: [Double], less label: Int32, to sum: inout [Double]) {
    for j in sum.indices { sum[j] += probabilities[j] }
    sum[Int(label)] -= 1
  }
}

/// The exact loss of a conditional random field, and the most probable labels of each sequence.
package final class ChainScorer {
  private let emissions: Emissions
  private let chain: LabelChain
  private let observer = SettledWeights()
  /// Whether a label may follow another, or stand first; nil: any may.
  private let isAllowed: ((Int?, Int) -> Bool)?

  /// - Parameters:
  ///   - rows: positions of a batch, at most.
  ///   - steps: of the longest sequence.
  ///   - isAllowed: which labels may follow a label, or nothing, in answers; nil: any may.
  package init(
    weight: Parameter, bias: Parameter, _ parameters: ChainParameters, _ weights: PackedParameters, rows: Int,
    steps: Int, isAllowed: ((Int?, Int) -> Bool)?
  ) throws {
    emissions = try Emissions(weight: weight, bias: bias, weights, rows: rows)
    chain = LabelChain(parameters, weights, steps: steps)
    self.isAllowed = isAllowed
  }

  /// - Parameters:
  ///   - nats: written, by row: the loss, in nats; unchanged where there is no target.
  ///   - answers: written, by row: the label of the most probable path.
  package func score(
    _ input: MatrixView, targets: Buffer<Int32>, _ layout: TimeMajorRows, nats: inout [Double], answers: inout [Int32]
  ) throws {
    let scores = try emissions.forward(input, observer)
    try chain.read(observer)
    for sequence in 0..<layout.sequences {
      let rows = scores.rows(of: sequence, layout)
      chain.read(rows)
      var label: Int32?
      let best = chain.bestLabels(rows) { isAllowed?($0, $1) ?? true }
      for t in rows.indices {
        let row = layout.row(step: t, sequence: sequence)
        // A text to predict has no labels.
        if targets[row] >= 0 { nats[row] = chain.loss(step: t, label: targets[row], before: label) }
        answers[row] = best[t]
        label = targets[row]
      }
    }
  }

  /// The probabilities of each position's labels, whatever the others are.
  package func marginals(
    _ input: MatrixView, _ layout: TimeMajorRows, _ visit: (_ row: Int, _ labels: [Double]) -> Void
  ) throws {
    let scores = try emissions.forward(input, observer)
    try chain.read(observer)
    for sequence in 0..<layout.sequences {
      chain.read(scores.rows(of: sequence, layout))
      var marginals: [Double]?
      for t in 0..<layout.length(of: sequence) {
        let current = chain.marginals(step: t, after: marginals)
        visit(layout.row(step: t, sequence: sequence), current)
        marginals = current
      }
    }
  }
}
