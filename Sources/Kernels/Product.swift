import Arena
import CKernels
import COneDNN
import Failures

/// Multiplies rows by a ``PackedMatrix``: y = x·W or y += x·W. One worker's handle on weights that workers may share.
///
/// Where the weights are in panels and this processor has a kernel for them, it runs: it knows that the same weights
/// come again at the next time step, which the library cannot. Otherwise a oneDNN primitive, made the first time a shape
/// is met and kept, so the steady state allocates nothing.
package final class Product {
  /// Who multiplies. The choice is there for tests and for comparing speeds.
  package enum Implementation: Sendable, CaseIterable {
    /// Our kernel where there is one for this processor and layout, else the library.
    case best
    case oneDNN
  }

  package let weights: PackedMatrix

  private struct Shape: Hashable {
    let rows: Int
    let accumulating: Bool
  }

  private let stream: OneDNNStream
  private let scratch: OperandScratch
  private let kernel: (@convention(c) (UnsafeMutablePointer<ls_product_job>) -> Void)?
  private let together: TeamOperands?
  private let team: ProductTeam?  // kept for the operands
  private var reversed: Int32
  private var primitives: [Shape: MatmulPrimitive] = [:]

  /// - Parameters:
  ///   - scratch: where bf16 copies of operands go; products of one worker may share it.
  ///   - team: workers that may make this product together: then all of them make their products in the same order, and
  ///     call ``multiply(_:into:accumulating:)`` in the same order.
  package init(
    _ weights: PackedMatrix, scratch: OperandScratch = OperandScratch(), implementation: Implementation = .best,
    team: ProductTeam? = nil
  ) throws {
    self.weights = weights
    self.scratch = scratch
    stream = try OneDNNStream()
    reversed = weights.isReadFromTheEnd ? 1 : 0
    kernel = implementation == .best ? Self.ownKernel(for: weights) : nil
    together = kernel == nil ? nil : try team?.makeOperands(weights)
    self.team = together == nil ? nil : team
  }

  /// Our kernel for these weights, where this processor and their layout have one.
  static func ownKernel(
    for weights: PackedMatrix
  ) -> (@convention(c) (UnsafeMutablePointer<ls_product_job>) -> Void)? {
    guard weights.isInPanels else { return nil }
    return weights.precision == .f32 ? kernels.product : bfloat16Kernels?.product
  }

  /// y[rows, outer] (+)= x[rows, inner] · W[inner, outer]. Throws ``OneDNNError``.
  ///
  /// Both matrices are dense. For others the library falls back to its reference loops, which are slow and round
  /// differently; and since a single row has no stride, one such primitive in the library's cache would then also
  /// serve single rows of dense matrices: bits would depend on what ran before.
  package func multiply(_ x: MatrixView, into y: MatrixView, accumulating: Bool = false) throws {
    precondition(x.columns == weights.inner && y.columns == weights.outer && x.rows == y.rows, "shapes don't fit")
    if x.rows == 0 { return }
    precondition(x.isDense && y.isDense, "a product of matrices with gaps between their rows")
    if let kernel {
      try multiply(x, into: y, accumulating: accumulating, by: kernel)
      return
    }
    let shape = Shape(rows: x.rows, accumulating: accumulating)
    let primitive: MatmulPrimitive
    if let known = primitives[shape] {
      primitive = known
    } else {
      primitive = try MatmulPrimitive(x, weights, y, accumulating: accumulating, stream)
      primitives[shape] = primitive
    }
    let source: UnsafeRawPointer =
      weights.precision == .f32 ? UnsafeRawPointer(x.pointer) : UnsafeRawPointer(try scratch.rounded(x))
    try primitive.execute(source, y, stream)
  }

  private func multiply(
    _ x: MatrixView, into y: MatrixView, accumulating: Bool,
    by kernel: @convention(c) (UnsafeMutablePointer<ls_product_job>) -> Void
  ) throws {
    let operand: UnsafeRawPointer
    let stride: Int
    switch weights.precision {
    case .f32: (operand, stride) = (UnsafeRawPointer(x.pointer), x.columns)
    case .bf16: (operand, stride) = (UnsafeRawPointer(try scratch.roundedPairs(x)), (x.columns + 1) / 2)
    }
    guard let together else {
      var part = ls_product_part(x: operand, y: y.pointer, rows: Int32(x.rows))
      withUnsafePointer(to: &part) {
        run(
          kernel, UnsafeBufferPointer(start: $0, count: 1), stride: stride, panels: 0..<weights.panelCount,
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
      kernel, UnsafeBufferPointer(together.parts), stride: stride, panels: together.panels(of: weights.panelCount),
      accumulating: accumulating)
    try together.barrier()
    y.pointer.update(from: together.y.pointer, count: y.rows * y.columns)
  }

  private func run(
    _ kernel: @convention(c) (UnsafeMutablePointer<ls_product_job>) -> Void,
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

/// One compiled matmul and the memory objects it is executed with.
private final class MatmulPrimitive {
  private let primitive: dnnl_primitive_t
  private let source: dnnl_memory_t
  private let weights: dnnl_memory_t
  private let destination: dnnl_memory_t

  init(
    _ x: MatrixView, _ w: PackedMatrix, _ y: MatrixView, accumulating: Bool, _ stream: OneDNNStream
  ) throws {
    let from = try MemoryDescription(
      rows: x.rows, columns: x.columns, rowStride: x.columns, columnStride: 1, w.precision)
    let to = try MemoryDescription(rows: y.rows, columns: y.columns, rowStride: y.columns, columnStride: 1)
    let name = "matmul [\(x.rows), \(x.columns)] x [\(w.inner), \(w.outer)]"
    var description: dnnl_primitive_desc_t?
    try check(
      ls_matmul_describe(&description, stream.engine, from.raw, w.description.raw, to.raw, accumulating ? 1 : 0), name)
    defer { dnnl_primitive_desc_destroy(description) }
    // Each handle is owned by a local until all exist, so that a failure half-way leaks nothing.
    var made: [dnnl_memory_t] = []
    var primitive: dnnl_primitive_t?
    try check(dnnl_primitive_create(&primitive, description), name)
    do {
      for raw in [from.raw, w.description.raw, to.raw] {
        var memory: dnnl_memory_t?
        try check(ls_memory_create_unbound(&memory, raw, stream.engine), "dnnl_memory_create")
        made.append(memory!)
      }
      try check(ls_memory_bind(made[1], w.packed.pointer), "dnnl_memory_set_data_handle")
    } catch {
      for memory in made { dnnl_memory_destroy(memory) }
      dnnl_primitive_destroy(primitive)
      throw error
    }
    self.primitive = primitive!
    (source, weights, destination) = (made[0], made[1], made[2])
  }

  func execute(_ x: UnsafeRawPointer, _ y: MatrixView, _ stream: OneDNNStream) throws {
    try check(ls_memory_bind(source, x), "dnnl_memory_set_data_handle")
    try check(ls_memory_bind(destination, y.pointer), "dnnl_memory_set_data_handle")
    try check(ls_matmul_execute(primitive, stream.stream, source, weights, destination), "matmul")
  }

  deinit {
    dnnl_memory_destroy(source)
    dnnl_memory_destroy(weights)
    dnnl_memory_destroy(destination)
    dnnl_primitive_destroy(primitive)
  }
}
