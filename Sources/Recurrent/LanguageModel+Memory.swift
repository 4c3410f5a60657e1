import Kernels

/// What a model allocates, in bytes, by the formulas of its parts: the memory of a run is known before it is asked for.
///
/// With T the most steps of a window, B the worker's streams, R = T·B, g the cell's gates, V, E, H, L as in
/// ``ModelShape``, P the floats of the parameters; four bytes a float.
extension ModelWeights {
  /// P, the sums of biases L·g·H, and the packed forms of all matrices but the embedding: one that forward products
  /// read and, for training, one for the way back. A packed [k × n] takes k, rounded up to 16, times n, rounded up to
  /// 64; in bf16 half of that.
  package static func bytes(_ shape: ModelShape, precision: Precision, training: Bool) -> Int {
    let (h, rows) = (shape.hiddenSize, shape.cell.gates * shape.hiddenSize)
    func packed(_ inner: Int, _ outer: Int) -> Int {
      roundUp(precision == .f32 ? inner : (inner + 1) / 2, 16) * roundUp(outer, 64)
    }
    func both(_ n: Int, _ k: Int) -> Int { packed(k, n) + (training ? packed(n, k) : 0) }
    var floats = shape.layout.count + shape.layers * rows + both(shape.vocabularySize, h)
    for layer in 0..<shape.layers {
      floats += both(rows, shape.inputSize(ofLayer: layer))
      floats += shape.cell == .gru(.before) ? both(2 * h, h) + both(h, h) : both(rows, h)
    }
    return 4 * floats
  }
}

extension LanguageModel {
  /// The gradients of a worker: P floats for each subtree that it sums up, and with tied weights V·E more.
  package static func gradientBytes(_ shape: ModelShape, _ batch: LocalBatch) -> Int {
    4 * batch.nodes.count * (shape.layout.count + (shape.tied ? shape.vocabularySize * shape.embeddingSize : 0))
  }

  /// All that a worker's model allocates besides weights and gradients.
  package static func bytes(
    _ shape: ModelShape, precision: Precision, batch: LocalBatch, dropout: Bool, training: Bool
  ) -> Int {
    let (v, e, h, layers) = (shape.vocabularySize, shape.embeddingSize, shape.hiddenSize, shape.layers)
    let (r, streams, gates) = (batch.rows, batch.streams.count, shape.cell.gates * shape.hiddenSize)
    let widest = max(e, h)

    // Tapes: gates, states, and the gradients of states.
    let states = (r + streams) * h
    let tape =
      switch shape.cell {
      case .lstm: r * gates + 2 * states + 2 * streams * h
      case .gru(.after): 2 * r * gates + states + streams * h
      case .gru(.before): r * gates + r * h + states + 4 * streams * h
      case .elman: r * h + states + streams * h
      }
    var floats = layers * tape + r * e
    if training { floats += 2 * r * widest + WeightGradient.scratchFloats(rows: r, columns: widest) }
    if training, dropout { floats += layers * r * h }

    // Lists of tokens and rows, 32-bit integers: those of the window, of the embedding's gradient, of the shards.
    var integers = min(v, r) + r + v + (v + r) + r
    if training { integers += batch.nodes.count * r }
    var entries = r
    if training, !dropout, ShardTokens.pay(vocabularySize: v, batch: batch) {
      entries = batch.shards.reduce(0) { $0 + min(v, batch.streams(ofShard: $1).count * batch.mostSteps) }
      floats += entries * gates
      integers += 2 * entries + r + v
    }

    var bytes = 4 * (floats + integers)
    bytes += SoftmaxHead.bytes(shape, batch: batch, training: training)
    if precision == .bf16 {
      // Each product keeps a rounded copy of its operand.
      let block = SoftmaxHead.rows(shape, batch: batch).block
      var halves = block * h + r * e + (layers - 1) * r * h + layers * streams * h
      if training { halves += block * v + entries * gates + (layers - 1) * r * gates + layers * streams * gates }
      bytes += 2 * halves
    }
    return bytes
  }
}

extension SoftmaxHead {
  /// The most rows of a chunk and of a block.
  static func rows(_ shape: ModelShape, batch: LocalBatch) -> (chunk: Int, block: Int) {
    rows(batch.rows, shards: batch.shards.count, vocabularySize: shape.vocabularySize, hiddenSize: shape.hiddenSize)
  }

  /// Logits of a chunk, or without training of a block; the chunk's hidden states; the block's gradients of those; and
  /// V·H + V for each level of the shard tree that chunks cut off.
  static func bytes(_ shape: ModelShape, batch: LocalBatch, training: Bool) -> Int {
    let (v, h) = (shape.vocabularySize, shape.hiddenSize)
    let (chunk, block) = rows(shape, batch: batch)
    var floats = (training ? chunk : block) * v + chunk * h + block * h
    if training {
      func levels(_ shards: Range<Int>) -> Int {
        let count = shards.reduce(0) { $0 + batch.streams(ofShard: $1).count * batch.mostSteps }
        guard count > chunk, shards.count > 1 else { return 0 }
        var half = 1
        while half * 2 < shards.count { half *= 2 }
        let middle = shards.lowerBound + half
        return max(levels(shards.lowerBound..<middle), 1 + levels(middle..<shards.upperBound))
      }
      floats += (batch.nodes.map { levels($0.node.shards) }.max() ?? 0) * (v * h + v)
    }
    return 4 * floats + 16 * chunk
  }
}

private func roundUp(_ value: Int, _ unit: Int) -> Int { (value + unit - 1) / unit * unit }
