import CKernels
import Parameters

/// Sums over flat arrays.
extension Arithmetic {
  /// destination += source
  package func add(_ source: UnsafePointer<Float>, to destination: UnsafeMutablePointer<Float>, count: Int) {
    kernels.pointee.add(destination, source, count)
  }

  /// destination += source, for matrices of one shape whose rows may have gaps between them.
  package func add(_ source: MatrixView, to destination: MatrixView) {
    precondition(source.rows == destination.rows && source.columns == destination.columns, "shapes don't fit")
    for row in 0..<source.rows {
      kernels.pointee.add(
        destination.pointer + row * destination.stride, source.pointer + row * source.stride, source.columns)
    }
  }

  /// destination = a + b; any of them may be the same memory.
  package func sum(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, into destination: UnsafeMutablePointer<Float>, count: Int
  ) {
    kernels.pointee.sum(destination, a, b, count)
  }

  /// Sum of squares, in `Double`, in an order that depends on the count alone.
  package func squaredNorm(_ values: UnsafePointer<Float>, count: Int) -> Double {
    kernels.pointee.squared_norm(values, count)
  }
}
