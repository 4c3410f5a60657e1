import CKernels
import Parameters
import Sharding

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
  ///   - inputRows: row indices into `inputs`, in the order of `rows`; nil: the same.
  ///   - accumulating: the first shard accumulates into `out` and `bias`: a shard that comes in several chunks.
  package func accumulate(
    outputs: MatrixView, inputs: MatrixView, rows: UnsafeBufferPointer<Int32>,
    inputRows: UnsafeBufferPointer<Int32>? = nil,
    ends: UnsafeBufferPointer<Int32>, into out: MatrixView, bias: UnsafeMutablePointer<Float>? = nil,
    accumulating: Bool = false
  ) {
    precondition(out.rows == outputs.columns && out.columns == inputs.columns, "shapes don't fit")
    precondition(ls_weight_gradient_scratch(rows.count, Int32(inputs.columns)) <= scratch.count, "too many rows")
    guard let rowList = rows.baseAddress, let endList = ends.baseAddress else { return }
    var job = ls_weight_gradient_job(
      a: outputs.pointer, a_stride: outputs.stride, b: inputs.pointer, b_stride: inputs.stride,
      m: Int32(out.rows), n: Int32(out.columns), rows: rowList, b_rows: inputRows?.baseAddress ?? rowList,
      shard_ends: endList, shards: Int32(ends.count),
      accumulate: accumulating ? 1 : 0, out: out.pointer, out_stride: out.stride, bias: bias)
    kernel(&job, scratch.pointer)
  }

  /// The naive twin: the same tree, each leaf summed in `Double` and rounded once.
  package static func naive(
    outputs: MatrixView, inputs: MatrixView, rows: UnsafeBufferPointer<Int32>,
    inputRows: UnsafeBufferPointer<Int32>? = nil,
    ends: UnsafeBufferPointer<Int32>, into out: MatrixView, bias: UnsafeMutablePointer<Float>? = nil
  ) {
    let tree = ShardTree(count: ends.count)
    func total(_ leaf: (Int) -> Double) -> Float {
      var start = 0
      var leaves: [Float] = []
      for end in ends {
        leaves.append(Float((start..<Int(end)).reduce(0.0) { $0 + leaf($1) }))
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
        out[m, n] = total { Double(outputs[Int(rows[$0]), m]) * Double(inputs[Int((inputRows ?? rows)[$0]), n]) }
      }
      bias?[m] = total { Double(outputs[Int(rows[$0]), m]) }
    }
  }
}
