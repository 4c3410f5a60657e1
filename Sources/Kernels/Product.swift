import CKernels
import Parameters

/// Multiplies rows by packed weights: y = x·W or y += x·W. One worker's handle on weights that workers may share.
///
/// A row's bits depend on that row and the weights alone, not on the number of rows.
package protocol RowProduct: AnyObject {
  var weights: PackedMatrix { get }

  /// y[rows, outer] (+)= x[rows, inner] · W[inner, outer]; both matrices are dense. Throws where a bf16 copy of x can't be
  /// allocated, and what a barrier throws.
  func multiply(_ x: MatrixView, into y: MatrixView, accumulating: Bool) throws
}

extension RowProduct {
  /// y = x·W
  package func multiply(_ x: MatrixView, into y: MatrixView) throws { try multiply(x, into: y, accumulating: false) }
}

/// A product that one worker makes alone.
package final class Product: RowProduct {
  package let weights: PackedMatrix
  private let operands: ProductOperands

  /// - Parameters:
  ///   - scratch: holds bf16 copies of operands; products of one worker may share it.
  ///   - fromTheEnd: whether the first product begins with the last panel. Workers that share weights and begin at
  ///     opposite ends fetch different parts from memory, and find in cache what the others have fetched.
  package init(_ weights: PackedMatrix, scratch: OperandScratch = OperandScratch(), fromTheEnd: Bool = false) {
    self.weights = weights
    operands = ProductOperands(weights, scratch: scratch, fromTheEnd: fromTheEnd)
  }

  package func multiply(_ x: MatrixView, into y: MatrixView, accumulating: Bool) throws {
    if x.rows == 0 { return }
    let (source, stride) = try operands.prepare(x, y)
    var part = ls_product_part(x: source, y: y.pointer, rows: Int32(x.rows))
    withUnsafePointer(to: &part) { part in
      operands.run(
        UnsafeBufferPointer(start: part, count: 1), stride: stride, panels: 0..<weights.panelCount,
        accumulating: accumulating)
    }
  }

  /// The naive twin: one chain of additions per element, in `Double`.
  package static func naive(
    _ x: MatrixView, _ w: MatrixView, transposed: Bool, into y: MatrixView, accumulating: Bool = false
  ) {
    for row in 0..<x.rows {
      for column in 0..<y.columns {
        var sum = accumulating ? Double(y[row, column]) : 0
        for k in 0..<x.columns { sum += Double(x[row, k]) * Double(transposed ? w[column, k] : w[k, column]) }
        y[row, column] = Float(sum)
      }
    }
  }
}

/// Operands in the form that the kernel takes, and the call of it.
final class ProductOperands {
  private typealias Kernel = @convention(c) (UnsafeMutablePointer<ls_product_job>) -> Void

  private let weights: PackedMatrix
  private let scratch: OperandScratch
  private let kernel: Kernel
  private var reversed: Int32

  init(_ weights: PackedMatrix, scratch: OperandScratch, fromTheEnd: Bool) {
    (self.weights, self.scratch) = (weights, scratch)
    reversed = fromTheEnd ? 1 : 0
    kernel =
      switch weights.precision {
      case .f32: weights.arithmetic.kernels.pointee.product
      case .bf16: weights.arithmetic.requireBFloat16().pointee.product
      }
  }

  /// Checks the shapes and returns x in the weights' precision, with its stride in floats or pairs of bf16.
  func prepare(_ x: MatrixView, _ y: MatrixView) throws -> (UnsafeRawPointer, stride: Int) {
    precondition(x.columns == weights.inner && y.columns == weights.outer && x.rows == y.rows, "shapes don't fit")
    precondition(x.isDense && y.isDense, "a product of matrices with gaps between their rows")
    return switch weights.precision {
    case .f32: (UnsafeRawPointer(x.pointer), x.columns)
    case .bf16: (UnsafeRawPointer(try scratch.roundedPairs(x, weights.arithmetic)), (x.columns + 1) / 2)
    }
  }

  func run(
    _ parts: UnsafeBufferPointer<ls_product_part>, stride: Int, panels: Range<Int>, accumulating: Bool
  ) {
    guard let start = parts.baseAddress, !panels.isEmpty else { return }
    var job = ls_product_job(
      parts: start, x_stride: stride, w: weights.packed.pointer, y_stride: weights.outer,
      part_count: Int32(parts.count), inner: Int32(weights.inner), outer: Int32(weights.outer),
      first_panel: Int32(panels.lowerBound), end_panel: Int32(panels.upperBound), accumulate: accumulating ? 1 : 0,
      reversed: reversed)
    kernel(&job)
    reversed = job.reversed
  }
}
