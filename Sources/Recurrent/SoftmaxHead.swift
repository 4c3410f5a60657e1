import Arena
import Kernels

/// Decoder, softmax and cross-entropy over the rows of a window, in chunks.
///
/// The rows of a gradient shard are gathered, multiplied out to logits a block at a time, turned into gradients in
/// place, multiplied back to dL/dh, and, a chunk at a time, into the decoder's gradient. A chunk holds the logits of a
/// subtree of the shard tree, and each level that chunks cut off costs V·H floats for its partial sum: ``chunkRows`` is
/// what needs least memory in all. A shard that is too long by itself comes in several chunks. So memory is bounded by
/// the decoder's own size times the levels of the tree, however large T·B·V is.
package final class SoftmaxHead {
  /// Logits that one chunk may hold in any case: 64 MiB. More only where that saves partial sums.
  private static let chunkFloats = 16 << 20
  /// Logits of one block, which pass from product to softmax to product while in cache: 4 MiB, but enough rows that
  /// the weights, which a block reads once, are no bottleneck.
  private static let blockFloats = 1 << 20
  private static let blockRows = 256

  package var timer: PhaseTimer?
  var probe: NonFiniteProbe?
  /// Streams of the window, by which a probe tells what a row is.
  var streams = 1
  private let weights: ModelWeights
  private let forward: Product
  private let backward: Product?
  private let vocabularySize: Int
  private let hiddenSize: Int
  private let chunkRows: Int
  private let blockRows: Int
  private let logits: FloatBuffer  // [chunk, V]
  private let hidden: FloatBuffer  // [chunk, H]
  private let dHidden: FloatBuffer  // [block, H]
  private let targets: UnsafeMutableBufferPointer<Int32>  // [chunk]
  private let losses: UnsafeMutableBufferPointer<Double>  // [chunk]
  private let sequence: UnsafeMutableBufferPointer<Int32>  // 0, 1, 2 …
  private let chunkEnds: UnsafeMutableBufferPointer<Int32>
  /// Decoder gradients of right-hand subtrees that a chunk boundary separates, by depth; made when first needed.
  private var partialSums: [DecoderGradient] = []

  /// - Parameter rows: the most rows of a window. `chunkFloats` is there for tests that want many chunks.
  package init(_ weights: ModelWeights, rows: Int, shards: Int, training: Bool, chunkFloats: Int? = nil) throws {
    self.weights = weights
    let (v, h) = (weights.shape.vocabularySize, weights.shape.hiddenSize)
    (vocabularySize, hiddenSize) = (v, h)
    (chunkRows, blockRows) = Self.rows(
      rows, shards: shards, vocabularySize: v, hiddenSize: h, chunkFloats: chunkFloats)
    forward = try Product(weights.decoder.forward)
    backward = training ? try weights.decoder.backward.map { try Product($0) } : nil
    logits = try FloatBuffer(count: (training ? chunkRows : blockRows) * vocabularySize)
    hidden = try FloatBuffer(count: chunkRows * hiddenSize)
    dHidden = try FloatBuffer(count: blockRows * hiddenSize)
    targets = .allocate(capacity: chunkRows)
    losses = .allocate(capacity: chunkRows)
    sequence = .allocate(capacity: chunkRows)
    chunkEnds = .allocate(capacity: max(shards, 1))
    for i in 0..<chunkRows { sequence.initializeElement(at: i, to: Int32(i)) }
  }

  deinit {
    targets.deallocate()
    losses.deallocate()
    sequence.deallocate()
    chunkEnds.deallocate()
  }

  /// The most rows of a chunk and of a block.
  static func rows(
    _ rows: Int, shards: Int, vocabularySize v: Int, hiddenSize h: Int, chunkFloats: Int? = nil
  ) -> (chunk: Int, block: Int) {
    // Even, because bf16 products take rows in pairs, and chunks must not change which.
    let unit = 2
    let wanted = chunkFloats.map { $0 / v } ?? chunkRows(rows: rows, shards: shards, vocabularySize: v, hiddenSize: h)
    let chunk = min(rows, max(unit, wanted / unit * unit))
    return (chunk, max(1, min(chunk, max(blockRows, blockFloats / v))))
  }

  /// The rows of a chunk that need least memory: logits of 2^k shards, and a partial sum for each level above.
  package static func chunkRows(rows: Int, shards: Int, vocabularySize: Int, hiddenSize: Int) -> Int {
    let shard = (rows + shards - 1) / shards
    let leastRows = max(chunkFloats, vocabularySize * hiddenSize / 2) / vocabularySize
    var levels = 0
    while 1 << levels < shards { levels += 1 }
    let candidates = (0...levels).map { level in
      let chunk = level == levels ? rows : shard << level
      let bounded = level == 0 ? min(chunk, leastRows) : chunk
      return (rows: bounded, floats: bounded * vocabularySize + (levels - level) * vocabularySize * hiddenSize)
    }
    return max(leastRows, candidates.min { ($0.floats, -$0.rows) < ($1.floats, -$1.rows) }?.rows ?? rows)
  }

  /// Loss and gradients over the rows of one subtree of the shard tree.
  ///
  /// - Parameters:
  ///   - input: [T·B, H], the last layer's output after dropout.
  ///   - dInput: [T·B, H], written for the rows of the subtree.
  ///   - shardLosses: one a shard of the subtree: summed cross-entropy in nats, rows in order.
  package func trainingPass(
    _ input: MatrixView, targets: UnsafeMutableBufferPointer<Int32>, rows: ShardRows, with product: WeightGradient,
    dInput: MatrixView, gradient: DecoderGradient, shardLosses: UnsafeMutablePointer<Double>
  ) throws {
    guard let backward else { preconditionFailure("training pass of a head that was made for evaluation") }
    let pass = Pass(
      head: self, backward: backward, input: input, allTargets: targets, rows: rows, product: product, dInput: dInput,
      shardLosses: shardLosses)
    for shard in 0..<rows.shardCount { shardLosses[shard] = 0 }
    try sum(0..<rows.shardCount, pass, into: gradient, depth: 0)
  }

  private func sum(_ shards: Range<Int>, _ pass: Pass, into gradient: DecoderGradient, depth: Int) throws {
    let range = pass.rowRange(of: shards)
    if range.count <= chunkRows {
      try pass.chunk(range, shards: shards, into: gradient, accumulating: false)
    } else if shards.count == 1 {
      // A shard in chunks: the sums go on where the last chunk stopped, one chain of additions all the same.
      var start = range.lowerBound
      while start < range.upperBound {
        let end = min(start + chunkRows, range.upperBound)
        try pass.chunk(start..<end, shards: shards, into: gradient, accumulating: start > range.lowerBound)
        start = end
      }
    } else {
      var half = 1
      while half * 2 < shards.count { half *= 2 }
      let middle = shards.lowerBound + half
      try sum(shards.lowerBound..<middle, pass, into: gradient, depth: depth)
      if partialSums.count == depth {
        partialSums.append(try DecoderGradient(vocabularySize: vocabularySize, hiddenSize: hiddenSize))
      }
      let right = partialSums[depth]
      try sum(middle..<shards.upperBound, pass, into: right, depth: depth + 1)
      timer?.enter(.weightGradients)
      weights.arithmetic.add(right.weight.pointer, to: gradient.weight.pointer, count: vocabularySize * hiddenSize)
      weights.arithmetic.add(right.bias, to: gradient.bias, count: vocabularySize)
    }
  }

  /// The losses alone: summed cross-entropy in nats for each shard of the subtree.
  package func evaluationPass(
    _ input: MatrixView, targets allTargets: UnsafeMutableBufferPointer<Int32>, rows: ShardRows,
    shardLosses: UnsafeMutablePointer<Double>
  ) throws {
    for shard in 0..<rows.shardCount { shardLosses[shard] = 0 }
    // A row's loss depends on that row alone, so a block may hold the rows of several shards.
    var shard = 0
    for start in stride(from: 0, to: rows.count, by: blockRows) {
      let range = start..<min(start + blockRows, rows.count)
      gather(range, of: rows, input, allTargets)
      let block = logits.matrix(range.count, vocabularySize)
      try forward.multiply(hidden.matrix(range.count, hiddenSize), into: block)
      weights.arithmetic.softmaxLoss(block, bias: bias, targets: targets.baseAddress!, losses: losses.baseAddress!)
      for position in range {
        while position >= Int(rows.ends[shard]) { shard += 1 }
        shardLosses[shard] += losses[position - start]
      }
    }
  }

  /// Logits with bias of single rows: for generation. [rows, V]
  package func logits(of input: MatrixView) throws -> MatrixView {
    precondition(input.rows <= blockRows, "more rows than a block")
    let block = logits.matrix(input.rows, vocabularySize)
    try forward.multiply(input, into: block)
    for row in 0..<input.rows {
      weights.arithmetic.add(bias, to: block.pointer + row * vocabularySize, count: vocabularySize)
    }
    return block
  }

  private var bias: UnsafeMutablePointer<Float> { weights.parameters.floats("decoder.bias").baseAddress! }

  /// Copies scattered rows of a shard together, so that products run over them at once.
  private func gather(
    _ range: Range<Int>, of rows: ShardRows, _ input: MatrixView, _ allTargets: UnsafeMutableBufferPointer<Int32>
  ) {
    for (i, position) in range.enumerated() {
      let row = Int(rows.rows[position])
      (hidden.pointer + i * hiddenSize).update(from: input.pointer + row * input.stride, count: hiddenSize)
      targets[i] = allTargets[row]
    }
  }

  /// One training pass over a subtree: what its chunks have in common.
  private struct Pass {
    let head: SoftmaxHead
    let backward: Product
    let input: MatrixView
    let allTargets: UnsafeMutableBufferPointer<Int32>
    let rows: ShardRows
    let product: WeightGradient
    let dInput: MatrixView
    let shardLosses: UnsafeMutablePointer<Double>

    /// Shows rows of a subtree, from `first` on in the order in which it lists them, with the stream and time step of each.
    func visit(_ block: MatrixView, _ tensor: String, _ first: Int, _ probe: NonFiniteProbe) {
      for i in 0..<block.rows where probe.first == nil {
        let row = Int(rows.rows[first + i])
        probe.visit(tensor, block.rows(i..<(i + 1)), row: row % head.streams, timeStep: row / head.streams)
      }
    }

    func rowRange(of shards: Range<Int>) -> Range<Int> {
      let start = shards.lowerBound == 0 ? 0 : Int(rows.ends[shards.lowerBound - 1])
      return start..<Int(rows.ends[shards.upperBound - 1])
    }

    func chunk(_ range: Range<Int>, shards: Range<Int>, into gradient: DecoderGradient, accumulating: Bool) throws {
      let (v, h) = (head.vocabularySize, head.hiddenSize)
      head.timer?.enter(.softmax)
      head.gather(range, of: rows, input, allTargets)
      for start in stride(from: 0, to: range.count, by: head.blockRows) {
        let count = min(head.blockRows, range.count - start)
        let block = head.logits.matrix(count, v, offset: start * v)
        try head.forward.multiply(head.hidden.matrix(count, h, offset: start * h), into: block)
        if let probe = head.probe { visit(block, "logits", range.lowerBound + start, probe) }
        head.weights.arithmetic.softmaxGradient(
          block, bias: head.bias, targets: head.targets.baseAddress! + start, losses: head.losses.baseAddress! + start)
        if let probe = head.probe {
          for i in 0..<count {
            // Losses are sums in Double; one that is finite there is finite.
            var loss = head.losses[start + i].isFinite ? 0 : Float(head.losses[start + i])
            withUnsafeMutablePointer(to: &loss) {
              visit(MatrixView($0, rows: 1, columns: 1), "loss", range.lowerBound + start + i, probe)
            }
          }
          visit(block, "gradient of the logits", range.lowerBound + start, probe)
        }
        let dBlock = head.dHidden.matrix(count, h)
        try backward.multiply(block, into: dBlock)
        for i in 0..<count {
          let row = Int(rows.rows[range.lowerBound + start + i])
          (dInput.pointer + row * dInput.stride).update(from: dBlock.pointer + i * h, count: h)
        }
      }
      var start = range.lowerBound
      for (i, shard) in shards.enumerated() {
        let end = min(Int(rows.ends[shard]), range.upperBound)
        for position in start..<end { shardLosses[shard] += head.losses[position - range.lowerBound] }
        head.chunkEnds[i] = Int32(end - range.lowerBound)
        start = end
      }
      head.timer?.enter(.weightGradients)
      product.accumulate(
        outputs: head.logits.matrix(range.count, v), inputs: head.hidden.matrix(range.count, h),
        rows: UnsafeBufferPointer(start: head.sequence.baseAddress, count: range.count),
        ends: UnsafeBufferPointer(start: head.chunkEnds.baseAddress, count: shards.count), into: gradient.weight,
        bias: gradient.bias, accumulating: accumulating)
    }
  }
}

/// Where the decoder's gradient goes.
package final class DecoderGradient {
  /// [V, H]
  package let weight: MatrixView
  /// [V]
  package let bias: UnsafeMutablePointer<Float>
  private let owned: [FloatBuffer]

  /// A view of the decoder's part of a gradient arena, which the caller keeps alive.
  package init(weight: MatrixView, bias: UnsafeMutablePointer<Float>) {
    self.weight = weight
    self.bias = bias
    owned = []
  }

  /// Memory of its own.
  package init(vocabularySize: Int, hiddenSize: Int) throws {
    let (weights, biases) = (
      try FloatBuffer(count: vocabularySize * hiddenSize), try FloatBuffer(count: vocabularySize)
    )
    weight = weights.matrix(vocabularySize, hiddenSize)
    bias = biases.pointer
    owned = [weights, biases]
  }
}
