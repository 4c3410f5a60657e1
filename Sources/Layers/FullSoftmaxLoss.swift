import Interfaces
import Kernels
import Parameters
import Sharding

/// The training loss of a ``FullSoftmax`` over the rows of a batch, in chunks.
///
/// The rows of a gradient shard are gathered, multiplied out to logits a block at a time, turned into gradients in place,
/// multiplied back to dL/dh, and, a chunk at a time, into the weight's gradient. A chunk holds the logits of a subtree of
/// the shard tree, and each level that chunks cut off costs V·H floats for its partial sum: the chunk is what needs least
/// memory in all. A shard that is too long by itself comes in several chunks. So memory is bounded by the weight's own
/// size times the levels of the tree, however large T·B·V is.
package final class FullSoftmaxLoss: OutputLayer {
  private let weights: PackedParameters
  private let workspace: Workspace
  private let weight: Parameter
  private let bias: Parameter
  private let weightAddend: Int
  private let biasAddend: Int
  private let forward: Product
  private let backward: Product
  private let chunkRows: Int
  private let blockRows: Int
  private let logits: FloatBuffer  // [chunk, V]
  private let gathered: GatheredRows  // [chunk, H]
  private let dBlock: FloatBuffer  // [block, H]
  private let losses: Buffer<Double>  // [chunk]
  private let places: Buffer<Int32>  // 0, 1, 2 …
  private let chunkEnds: Buffer<Int32>
  /// Gradients of right-hand subtrees that a chunk boundary separates, by depth; made when first needed.
  private var partialSums: [GradientTarget] = []

  /// Where a weight's and a bias's gradient go.
  private struct GradientTarget {
    let weight: FloatBuffer  // [V, H]
    let bias: FloatBuffer  // [V]
  }

  /// - Parameters:
  ///   - rows: maximum rows of a batch.
  ///   - shards: of this worker.
  ///   - chunkFloats: logits of a chunk, for tests that want many; nil: what needs least memory.
  package init(
    weight: Parameter, bias: Parameter, _ weights: PackedParameters, rows: Int, shards: Int, chunkFloats: Int? = nil,
    _ workspace: Workspace, _ addends: inout AddendList
  ) throws {
    (self.weights, self.workspace, self.weight, self.bias) = (weights, workspace, weight, bias)
    weightAddend = addends.enroll(weight)
    biasAddend = addends.enroll(bias)
    chunkRows = SoftmaxBlocks.rows(
      ofChunk: rows, shards: shards, classes: weight.rows, hiddenSize: weight.columns, floats: chunkFloats)
    blockRows = SoftmaxBlocks.rows(ofBlock: chunkRows, classes: weight.rows)
    forward = weights.forwardProduct(weight)
    backward = weights.backwardProduct(weight)
    logits = try FloatBuffer(count: chunkRows * weight.rows)
    gathered = try GatheredRows(capacity: chunkRows, columns: weight.columns)
    dBlock = try FloatBuffer(count: blockRows * weight.columns)
    losses = Buffer(repeating: 0, count: chunkRows)
    chunkEnds = Buffer(repeating: 0, count: max(shards, 1))
    places = Buffer(repeating: 0, count: chunkRows)
    for place in 0..<chunkRows { places[place] = Int32(place) }
  }

  package func list(_ targets: Buffer<Int32>, _ pass: BackwardPass) {}

  package func lossAndGradient(
    _ input: MatrixView, dInput: MatrixView, targets: Buffer<Int32>, units: [ShardRows], _ pass: BackwardPass,
    nats: inout [Double]
  ) throws {
    try pass.forward.observer.willRead(weight)
    try pass.forward.observer.willRead(bias)
    var start = 0
    for (units, gradient) in zip(units, pass.gradients) {
      let target = GradientTarget(weight: gradient.values[weightAddend], bias: gradient.values[biasAddend])
      let rows = SubtreeRows(
        input: input, dInput: dInput, targets: targets, units: units, layout: pass.forward.layout,
        product: pass.product, firstLoss: start)
      try sum(0..<units.shardCount, rows, into: target, nats: &nats, depth: 0)
      start += units.count
    }
    try pass.finish(weightAddend, workspace)
    try pass.finish(biasAddend, workspace)
  }

  /// What the chunks of a subtree have in common.
  private struct SubtreeRows {
    let input: MatrixView
    let dInput: MatrixView
    let targets: Buffer<Int32>
    let units: ShardRows
    let layout: TimeMajorRows
    let product: WeightGradient
    /// Where the subtree's losses begin.
    let firstLoss: Int

    /// Shows rows, from unit `first` on, with the sequence and time step of each.
    func visit(_ block: MatrixView, _ tensor: String, _ first: Int, _ probe: NonFiniteProbe) {
      for i in 0..<block.rows where probe.first == nil {
        let position = layout.position(of: Int(units.rows[first + i]))
        probe.visit(tensor, block.rows(i..<(i + 1)), row: position.sequence, timeStep: position.step)
      }
    }
  }

  private func sum(
    _ shards: Range<Int>, _ rows: SubtreeRows, into target: GradientTarget, nats: inout [Double], depth: Int
  ) throws {
    let range = rows.units.places(of: shards)
    if range.count <= chunkRows {
      try chunk(range, shards, rows, into: target, nats: &nats, accumulating: false)
    } else if shards.count == 1 {
      // A shard in chunks: the sums continue where the last chunk stopped, one chain of additions all the same.
      for start in stride(from: range.lowerBound, to: range.upperBound, by: chunkRows) {
        let part = start..<min(start + chunkRows, range.upperBound)
        try chunk(part, shards, rows, into: target, nats: &nats, accumulating: start > range.lowerBound)
      }
    } else {
      let middle = Self.middle(of: shards)
      try sum(shards.lowerBound..<middle, rows, into: target, nats: &nats, depth: depth)
      if partialSums.count == depth {
        partialSums.append(
          GradientTarget(
            weight: try FloatBuffer(count: weight.count), bias: try FloatBuffer(count: bias.count)))
      }
      let right = partialSums[depth]
      try sum(middle..<shards.upperBound, rows, into: right, nats: &nats, depth: depth + 1)
      workspace.enter(.weightGradients)
      weights.arithmetic.add(right.weight.pointer, to: target.weight.pointer, count: weight.count)
      weights.arithmetic.add(right.bias.pointer, to: target.bias.pointer, count: bias.count)
    }
  }

  /// The first shard of the right-hand subtree.
  private static func middle(of shards: Range<Int>) -> Int {
    var half = 1
    while half * 2 < shards.count { half *= 2 }
    return shards.lowerBound + half
  }

  private func chunk(
    _ range: Range<Int>, _ shards: Range<Int>, _ rows: SubtreeRows, into target: GradientTarget, nats: inout [Double],
    accumulating: Bool
  ) throws {
    let (v, h) = (weight.rows, weight.columns)
    workspace.enter(.softmax)
    gathered.gather(range, of: rows.units, rows.input, rows.targets)
    for start in stride(from: 0, to: range.count, by: blockRows) {
      try block(start..<min(start + blockRows, range.count), of: range, rows)
    }
    for place in range { nats[rows.firstLoss + place] = losses[place - range.lowerBound] }
    for (i, shard) in shards.enumerated() {
      chunkEnds[i] = Int32(min(Int(rows.units.ends[shard]), range.upperBound) - range.lowerBound)
    }
    workspace.enter(.weightGradients)
    rows.product.accumulate(
      outputs: logits.matrix(range.count, v), inputs: gathered.inputs(0..<range.count),
      rows: UnsafeBufferPointer(rebasing: places.values[0..<range.count]),
      ends: UnsafeBufferPointer(rebasing: chunkEnds.values[0..<shards.count]),
      into: target.weight.matrix(v, h), bias: target.bias.pointer, accumulating: accumulating)
  }

  /// Logits, losses and dL/dh of some gathered rows of a chunk.
  private func block(_ part: Range<Int>, of range: Range<Int>, _ rows: SubtreeRows) throws {
    let (v, h) = (weight.rows, weight.columns)
    let first = range.lowerBound + part.lowerBound
    let block = logits.matrix(part.count, v, offset: part.lowerBound * v)
    try forward.multiply(gathered.inputs(part), into: block)
    if let probe = workspace.probe { rows.visit(block, "logits", first, probe) }
    weights.arithmetic.softmaxGradient(
      block, bias: weights.floats(bias), targets: gathered.targets.values.baseAddress! + part.lowerBound,
      losses: losses.values.baseAddress! + part.lowerBound)
    if let probe = workspace.probe {
      visitLosses(part, first, rows, probe)
      rows.visit(block, "gradient of the logits", first, probe)
    }
    let dRows = dBlock.matrix(part.count, h)
    try backward.multiply(block, into: dRows)
    let units = rows.units.rows
    for i in 0..<part.count {
      (rows.dInput.pointer + Int(units[first + i]) * rows.dInput.stride).update(
        from: dRows.pointer + i * h, count: h)
    }
  }

  private func visitLosses(_ part: Range<Int>, _ first: Int, _ rows: SubtreeRows, _ probe: NonFiniteProbe) {
    for i in 0..<part.count {
      // Losses are sums in Double; one that is finite there is finite.
      let loss = losses[part.lowerBound + i]
      var value = loss.isFinite ? 0 : Float(loss)
      withUnsafeMutablePointer(to: &value) {
        rows.visit(MatrixView($0, rows: 1, columns: 1), "loss", first + i, probe)
      }
    }
  }

  /// The most rows of a block.
  package static func blockRows(classes: Int, hiddenSize: Int, _ plan: BatchPlan, rank: Int) -> Int {
    SoftmaxBlocks.rows(ofBlock: chunkRows(classes: classes, hiddenSize: hiddenSize, plan, rank: rank), classes: classes)
  }

  private static func chunkRows(classes: Int, hiddenSize: Int, _ plan: BatchPlan, rank: Int) -> Int {
    SoftmaxBlocks.rows(
      ofChunk: plan.mostRows(of: rank), shards: plan.shards(of: rank).count, classes: classes, hiddenSize: hiddenSize)
  }

  /// Bytes that training allocates: logits of a chunk, its hidden states, a block's gradients of those, and V·H + V for
  /// each level of the shard tree that chunks cut off.
  package static func bytes(classes: Int, hiddenSize: Int, _ plan: BatchPlan, rank: Int) -> Int {
    let chunk = chunkRows(classes: classes, hiddenSize: hiddenSize, plan, rank: rank)
    let block = blockRows(classes: classes, hiddenSize: hiddenSize, plan, rank: rank)
    func levels(_ shards: Range<Int>) -> Int {
      guard plan.mostRows(in: shards) > chunk, shards.count > 1 else { return 0 }
      let middle = middle(of: shards)
      return max(levels(shards.lowerBound..<middle), 1 + levels(middle..<shards.upperBound))
    }
    let partials = plan.subtrees(of: rank).map { levels($0.shards) }.max() ?? 0
    let floats = chunk * (classes + hiddenSize) + block * hiddenSize + partials * (classes * hiddenSize + classes)
    return MemoryLayout<Float>.stride * floats + 16 * chunk
  }
}
