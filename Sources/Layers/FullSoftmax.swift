import Interfaces
import Kernels
import Parameters
import Sharding

/// A linear layer and a softmax over all classes: logits and the exact cross-entropy.
package final class FullSoftmax {
  package let weight: Parameter  // [V, H]
  package let bias: Parameter  // [V]
  let weights: PackedParameters
  let workspace: Workspace
  private let product: Product
  private let rows: Int
  private let logits: FloatBuffer  // [block, V]
  private let gathered: GatheredRows

  /// - Parameter rows: maximum rows of a batch.
  package init(
    weight: Parameter, bias: Parameter, _ weights: PackedParameters, rows: Int, _ workspace: Workspace
  ) throws {
    (self.weight, self.bias, self.weights, self.workspace) = (weight, bias, weights, workspace)
    product = weights.forwardProduct(weight)
    self.rows = SoftmaxBlocks.rows(ofBlock: rows, classes: weight.rows)
    logits = try FloatBuffer(count: self.rows * weight.rows)
    gathered = try GatheredRows(capacity: self.rows, columns: weight.columns)
  }

  /// The cross-entropy of each unit of a subtree, in nats.
  ///
  /// - Parameters:
  ///   - input: [rows, H]
  ///   - targets: by row; negative: the row is masked, its loss is zero.
  ///   - start: where the subtree's units begin in `nats`.
  ///   - didMultiply: called with the products of some units, the bias not yet added, and the places of these units.
  package func losses(
    _ input: MatrixView, targets: Buffer<Int32>, units: ShardRows, into nats: inout [Double], from start: Int,
    didMultiply: (MatrixView, Range<Int>) -> Void = { _, _ in }
  ) throws {
    // A row's loss depends on that row alone, so a block may hold the rows of several shards.
    for first in stride(from: 0, to: units.count, by: rows) {
      let range = first..<min(first + rows, units.count)
      gathered.gather(range, of: units, input, targets)
      let block = logits.matrix(range.count, weight.rows)
      try product.multiply(gathered.inputs(0..<range.count), into: block)
      let places = (start + range.lowerBound)..<(start + range.upperBound)
      didMultiply(block, places)
      nats[places].withUnsafeMutableBufferPointer { losses in
        guard let losses = losses.baseAddress else { return }
        weights.arithmetic.softmaxLoss(
          block, bias: weights.floats(bias), targets: gathered.targets.values.baseAddress!, losses: losses)
      }
    }
  }

  /// The logits of single rows, bias included, [rows, V]; valid until the next call.
  package func logits(of input: MatrixView) throws -> MatrixView {
    precondition(input.rows <= rows, "more rows than a block")
    let block = logits.matrix(input.rows, weight.rows)
    try product.multiply(input, into: block)
    for row in 0..<input.rows {
      weights.arithmetic.add(weights.floats(bias), to: block.pointer + row * weight.rows, count: weight.rows)
    }
    return block
  }

  /// Bytes that scoring allocates.
  package static func bytes(classes: Int, hiddenSize: Int, rows: Int) -> Int {
    let block = SoftmaxBlocks.rows(ofBlock: rows, classes: classes)
    return MemoryLayout<Float>.stride * block * (classes + hiddenSize + 1)
  }
}

/// Scattered rows of a batch, gathered so that one product covers all of them.
final class GatheredRows {
  let targets: Buffer<Int32>
  private let inputs: FloatBuffer
  private let columns: Int

  init(capacity: Int, columns: Int) throws {
    self.columns = columns
    targets = Buffer(repeating: 0, count: capacity)
    inputs = try FloatBuffer(count: capacity * columns)
  }

  /// Copies the units at `range` of a subtree's list to the front.
  func gather(_ range: Range<Int>, of units: ShardRows, _ input: MatrixView, _ allTargets: Buffer<Int32>) {
    let rows = units.rows
    for (place, unit) in range.enumerated() {
      let row = Int(rows[unit])
      (inputs.pointer + place * columns).update(from: input.pointer + row * input.stride, count: columns)
      targets[place] = allTargets[row]
    }
  }

  func inputs(_ range: Range<Int>) -> MatrixView {
    inputs.matrix(range.count, columns, offset: range.lowerBound * columns)
  }
}

/// How many rows of logits are held at a time.
package enum SoftmaxBlocks {
  /// Logits that one chunk may hold in any case: 64 MiB. More only where that saves partial sums.
  private static let chunkFloats = 16 << 20
  /// Logits of one block, which pass from product to softmax to product while in cache: 4 MiB, but enough rows that
  /// the weights, which a block reads once, are no bottleneck.
  private static let blockFloats = 1 << 20
  private static let blockRows = 256

  /// The most rows of a block.
  package static func rows(ofBlock rows: Int, classes: Int) -> Int {
    max(1, min(rows, max(blockRows, blockFloats / classes)))
  }

  /// The most rows of a chunk.
  ///
  /// - Parameter floats: logits of a chunk; nil: what needs least memory.
  static func rows(ofChunk rows: Int, shards: Int, classes: Int, hiddenSize: Int, floats: Int? = nil) -> Int {
    // Even, because bf16 products take rows in pairs, and chunks must not change which.
    let unit = 2
    let wanted =
      floats.map { $0 / classes }
      ?? leastMemory(rows: rows, shards: shards, classes: classes, hiddenSize: hiddenSize)
    return min(rows, max(unit, wanted / unit * unit))
  }

  /// The rows of a chunk that need least memory: logits of 2^k shards, and a partial sum for each level above.
  package static func leastMemory(rows: Int, shards: Int, classes: Int, hiddenSize: Int) -> Int {
    let shard = (rows + shards - 1) / shards
    let leastRows = max(chunkFloats, classes * hiddenSize / 2) / classes
    var levels = 0
    while 1 << levels < shards { levels += 1 }
    let candidates = (0...levels).map { level in
      let chunk = level == levels ? rows : shard << level
      let bounded = level == 0 ? min(chunk, leastRows) : chunk
      return (rows: bounded, floats: bounded * classes + (levels - level) * classes * hiddenSize)
    }
    return max(leastRows, candidates.min { ($0.floats, -$0.rows) < ($1.floats, -$1.rows) }?.rows ?? rows)
  }
}
