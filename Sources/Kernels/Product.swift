import Arena
import CKernels

/// Multiplies rows by a ``PackedMatrix``: y = x·W or y += x·W. One worker's handle on weights that workers may share.
///
/// A row's bits depend on that row and the weights alone, not on the number of rows.
package final class Product {
  package typealias Kernel = @convention(c) (UnsafeMutablePointer<ls_product_job>) -> Void

  package let weights: PackedMatrix

  private let scratch: OperandScratch
  private let kernel: Kernel
  private let together: TeamOperands?
  private let team: ProductTeam?  // kept for the operands
  private var reversed: Int32

  /// - Parameters:
  ///   - scratch: where bf16 copies of operands go; products of one worker may share it.
  ///   - team: workers that may make this product together: then all of them make their products in the same order, and
  ///     call ``multiply(_:into:accumulating:)`` in the same order.
  package init(_ weights: PackedMatrix, scratch: OperandScratch = OperandScratch(), team: ProductTeam? = nil) throws {
    self.weights = weights
    self.scratch = scratch
    reversed = weights.isReadFromTheEnd ? 1 : 0
    kernel =
      switch weights.precision {
      case .f32: weights.arithmetic.kernels.pointee.product
      case .bf16: weights.arithmetic.requireBFloat16().pointee.product
      }
    together = try team?.makeOperands(weights)
    self.team = together == nil ? nil : team
  }

  /// y[rows, outer] (+)= x[rows, inner] · W[inner, outer]; both matrices are dense. Throws where memory for a bf16 copy
  /// of x is wanting, and what the team's barrier throws.
  package func multiply(_ x: MatrixView, into y: MatrixView, accumulating: Bool = false) throws {
    precondition(x.columns == weights.inner && y.columns == weights.outer && x.rows == y.rows, "shapes don't fit")
    if x.rows == 0 { return }
    precondition(x.isDense && y.isDense, "a product of matrices with gaps between their rows")
    let operand: UnsafeRawPointer
    let stride: Int
    switch weights.precision {
    case .f32: (operand, stride) = (UnsafeRawPointer(x.pointer), x.columns)
    case .bf16:
      operand = UnsafeRawPointer(try scratch.roundedPairs(x, weights.arithmetic))
      stride = (x.columns + 1) / 2
    }
    guard let together else {
      var part = ls_product_part(x: operand, y: y.pointer, rows: Int32(x.rows))
      withUnsafePointer(to: &part) {
        run(
          UnsafeBufferPointer(start: $0, count: 1), stride: stride, panels: 0..<weights.panelCount,
          accumulating: accumulating)
      }
      return
    }
    precondition(x.rows == together.rows, "a product of a team with other rows")
    // A unit of the stride has four bytes: a float, or a pair of bf16.
    UnsafeMutableRawPointer(together.x.pointer).copyMemory(from: operand, byteCount: x.rows * stride * 4)
    if accumulating { together.y.pointer.update(from: y.pointer, count: y.rows * y.columns) }
    try together.barrier()
    run(
      UnsafeBufferPointer(together.parts), stride: stride, panels: together.panels(of: weights.panelCount),
      accumulating: accumulating)
    try together.barrier()
    y.pointer.update(from: together.y.pointer, count: y.rows * y.columns)
  }

  private func run(
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

  /// The naive twin: one chain of additions an element, in `Double`.
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
