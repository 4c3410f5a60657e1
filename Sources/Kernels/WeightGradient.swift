import Arena
import CKernels

/// The rows of a batch in the order in which one node of the shard tree adds them up: shard after shard, and inside a
/// shard by time step, then by stream.
///
/// Rows of a batch are time-major, row = t·streams + b, because one time step must be one product; a gradient shard is
/// a run of streams, so its rows are scattered and listed here.
package final class ShardRows: @unchecked Sendable {  // written by its owner before a step, read by its kernels
  package let node: ShardTree.Node
  /// Local streams of each shard of the node.
  private let streams: [Range<Int>]
  private let localStreams: Int
  private let rowStorage: UnsafeMutablePointer<Int32>
  private let endStorage: UnsafeMutablePointer<Int32>
  private let capacity: Int
  private var steps = 0
  private var listedShards = 0

  /// - Parameters:
  ///   - streams: for each shard of the node, its streams, counted from this worker's first stream.
  ///   - localStreams: streams of this worker.
  ///   - steps: the longest window.
  package init(node: ShardTree.Node, streams: [Range<Int>], localStreams: Int, steps: Int) {
    precondition(streams.count == node.shards.count, "one run of streams a shard")
    self.node = node
    self.streams = streams
    self.localStreams = localStreams
    capacity = streams.reduce(0) { $0 + $1.count } * steps
    rowStorage = .allocate(capacity: max(capacity, 1))
    endStorage = .allocate(capacity: streams.count)
    prepare(steps: steps)
  }

  /// For rows that stand shard after shard; ``appendShard(_:)`` lists them.
  ///
  /// - Parameter capacity: the most rows.
  package init(node: ShardTree.Node, capacity: Int) {
    self.node = node
    self.capacity = capacity
    streams = []
    localStreams = 0
    rowStorage = .allocate(capacity: max(capacity, 1))
    endStorage = .allocate(capacity: node.shards.count)
    endStorage.initialize(repeating: 0, count: node.shards.count)
  }

  deinit {
    rowStorage.deallocate()
    endStorage.deallocate()
  }

  /// Starts a new list: ``appendShard(_:)`` follows once for each shard.
  package func removeAll() { listedShards = 0 }

  /// Lists the rows of the next shard.
  package func appendShard(_ rows: Range<Int>) {
    var next = listedShards == 0 ? 0 : Int(endStorage[listedShards - 1])
    precondition(listedShards < shardCount && next + rows.count <= capacity, "more rows than the list was made for")
    for row in rows {
      rowStorage[next] = Int32(row)
      next += 1
    }
    endStorage[listedShards] = Int32(next)
    listedShards += 1
  }

  /// Lists the rows of a window of `steps` time steps, at most those that it was made for.
  package func prepare(steps: Int) {
    precondition(!streams.isEmpty, "rows that are listed shard by shard")
    precondition(
      streams.reduce(0) { $0 + $1.count } * steps <= capacity, "a window longer than the batch was made for")
    guard steps != self.steps else { return }
    self.steps = steps
    var next = 0
    for (shard, run) in streams.enumerated() {
      for t in 0..<steps {
        for b in run {
          rowStorage[next] = Int32(t * localStreams + b)
          next += 1
        }
      }
      endStorage[shard] = Int32(next)
    }
  }

  package var count: Int { Int(endStorage[shardCount - 1]) }
  package var shardCount: Int { node.shards.count }
  package var rows: UnsafeBufferPointer<Int32> { .init(start: rowStorage, count: count) }
  package var ends: UnsafeBufferPointer<Int32> { .init(start: endStorage, count: shardCount) }
}

/// Gradients of weights: products summed over rows, shard by shard, along the shard tree.
package final class WeightGradient {
  private let scratch: FloatBuffer
  private let kernel: @convention(c) (UnsafePointer<ls_weight_gradient_job>, UnsafeMutablePointer<Float>) -> Void

  /// - Parameters:
  ///   - rows: the most rows a call will have.
  ///   - columns: the widest input.
  ///   - precision: what the operands are rounded to as they are packed.
  package init(rows: Int, columns: Int, _ arithmetic: Arithmetic, precision: Precision = .f32) throws {
    kernel =
      switch precision {
      case .f32: arithmetic.kernels.pointee.weight_gradient
      case .bf16: arithmetic.requireBFloat16().pointee.weight_gradient
      }
    scratch = try FloatBuffer(count: ls_weight_gradient_scratch(rows, Int32(columns)))
  }

  /// Floats of scratch memory of an object that is made with these arguments.
  package static func scratchFloats(rows: Int, columns: Int) -> Int { ls_weight_gradient_scratch(rows, Int32(columns)) }

  /// out[M, N] = Σ over rows r of outputs[r, :]ᵀ inputs[r, :], bias[M] = Σ outputs[r, :], along the tree of `rows`.
  ///
  /// - Parameters:
  ///   - outputs: [*, M], the gradient of the product's output.
  ///   - inputs: [*, N], the product's input.
  ///   - rows: row indices into both, and where each shard ends.
  ///   - accumulating: the first shard goes on from what `out` and `bias` hold: a shard that comes in several chunks.
  package func accumulate(
    outputs: MatrixView, inputs: MatrixView, rows: UnsafeBufferPointer<Int32>, ends: UnsafeBufferPointer<Int32>,
    into out: MatrixView, bias: UnsafeMutablePointer<Float>? = nil, accumulating: Bool = false
  ) {
    precondition(out.rows == outputs.columns && out.columns == inputs.columns, "shapes don't fit")
    precondition(ls_weight_gradient_scratch(rows.count, Int32(inputs.columns)) <= scratch.count, "too many rows")
    guard let rowList = rows.baseAddress, let endList = ends.baseAddress else { return }
    var job = ls_weight_gradient_job(
      a: outputs.pointer, a_stride: outputs.stride, b: inputs.pointer, b_stride: inputs.stride,
      m: Int32(out.rows), n: Int32(out.columns), rows: rowList, shard_ends: endList, shards: Int32(ends.count),
      accumulate: accumulating ? 1 : 0, out: out.pointer, out_stride: out.stride, bias: bias)
    kernel(&job, scratch.pointer)
  }

  /// The naive twin: the same tree, each leaf summed in `Double` and rounded once.
  package static func naive(
    outputs: MatrixView, inputs: MatrixView, rows: UnsafeBufferPointer<Int32>, ends: UnsafeBufferPointer<Int32>,
    into out: MatrixView, bias: UnsafeMutablePointer<Float>? = nil
  ) {
    let tree = ShardTree(count: ends.count)
    func total(_ leaf: (Int32) -> Double) -> Float {
      var start = 0
      var leaves: [Float] = []
      for end in ends {
        leaves.append(Float((start..<Int(end)).reduce(0.0) { $0 + leaf(rows[$1]) }))
        start = Int(end)
      }
      func sum(_ node: ShardTree.Node) -> Float {
        guard node.level > 0 else { return leaves[node.index] }
        let (left, right) = tree.children(of: node)
        return right.map { sum(left) + sum($0) } ?? sum(left)
      }
      return sum(tree.root)
    }
    for m in 0..<out.rows {
      for n in 0..<out.columns {
        out[m, n] = total { Double(outputs[Int($0), m]) * Double(inputs[Int($0), n]) }
      }
      bias?[m] = total { Double(outputs[Int($0), m]) }
    }
  }
}
