import Arena
import CKernels

/// Maps and sums over flat arrays.
package enum VectorMath {
  /// x ← eˣ, at most 1 ulp off for −87 ≤ x ≤ 88 and saturated outside.
  package static func exponential(_ values: UnsafeMutableBufferPointer<Float>) {
    guard let start = values.baseAddress else { return }
    kernels.exponential(start, values.count)
  }

  /// x ← 1 / (1 + e⁻ˣ)
  package static func sigmoid(_ values: UnsafeMutableBufferPointer<Float>) {
    guard let start = values.baseAddress else { return }
    kernels.sigmoid(start, values.count)
  }

  /// x ← tanh x
  package static func hyperbolicTangent(_ values: UnsafeMutableBufferPointer<Float>) {
    guard let start = values.baseAddress else { return }
    kernels.hyperbolic_tangent(start, values.count)
  }

  /// destination += source
  package static func add(_ source: UnsafePointer<Float>, to destination: UnsafeMutablePointer<Float>, count: Int) {
    kernels.add(destination, source, count)
  }

  /// destination += source, for matrices of one shape whose rows may have gaps between them.
  package static func add(_ source: MatrixView, to destination: MatrixView) {
    precondition(source.rows == destination.rows && source.columns == destination.columns, "shapes don't fit")
    for row in 0..<source.rows {
      kernels.add(
        destination.pointer + row * destination.stride, source.pointer + row * source.stride, source.columns)
    }
  }

  /// destination = a + b; any of them may be the same memory.
  package static func sum(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>, count: Int
  ) {
    kernels.sum(destination, a, b, count)
  }

  /// Sum of squares, in `Double`, in an order that depends on the count alone.
  package static func squaredNorm(_ values: UnsafePointer<Float>, count: Int) -> Double {
    kernels.squared_norm(values, count)
  }
}
