import Arena
import COneDNN
import Failures

/// The constant operand of a product, [inner × outer], reordered once into the layout that oneDNN multiplies fastest.
///
/// The layout is chosen for one number of rows, always the same, and then used for every number of rows. So the bits of
/// a result row depend on that row and the weights alone; the property that worker counts don't change results rests
/// on it, and a test keeps it true.
///
/// Packed memory is written by ``pack(_:transposed:)`` and read by every ``Product`` made from it. Workers may share it:
/// they pack between two barriers and multiply after the second.
package final class PackedMatrix: @unchecked Sendable {  // safe by the phases described above
  package let inner: Int
  package let outer: Int
  package let precision: Precision
  let description: MemoryDescription
  package let packed: FloatBuffer
  /// Whether the layout is one that ``PackedWeight`` can write by itself.
  let isInPanels: Bool
  /// Whether the first product by this matrix begins with the last panel.
  let isReadFromTheEnd: Bool

  private static let rowsOfLayout = 64

  /// Panels of the outer dimension, where ``isInPanels``.
  var panelCount: Int { (outer + 63) / 64 }

  /// - Parameters:
  ///   - memory: where the packed form goes.
  ///   - isReadFromTheEnd: workers that share weights and begin at opposite ends fetch different parts of them from
  ///     memory, and find in cache what the others have fetched.
  package init(
    inner: Int, outer: Int, precision: Precision = .f32, memory: FloatMemory = FloatBuffer.init(count:),
    isReadFromTheEnd: Bool = false
  ) throws {
    self.inner = inner
    self.outer = outer
    self.precision = precision
    self.isReadFromTheEnd = isReadFromTheEnd
    let stream = try OneDNNStream()
    let rows = Self.rowsOfLayout
    let source = try MemoryDescription(rows: rows, columns: inner, rowStride: inner, columnStride: 1, precision)
    let weights = try MemoryDescription(anyLayoutOf: inner, outer, precision)
    let destination = try MemoryDescription(rows: rows, columns: outer, rowStride: outer, columnStride: 1)
    var primitive: dnnl_primitive_desc_t?
    try check(
      ls_matmul_describe(&primitive, stream.engine, source.raw, weights.raw, destination.raw, 0),
      "matmul [\(rows), \(inner)] x [\(inner), \(outer)]")
    defer { dnnl_primitive_desc_destroy(primitive) }
    description = try MemoryDescription(weightsOf: primitive!)
    packed = try memory((description.bytes + 3) / 4)
    isInPanels = ls_desc_is_panels(description.raw, Int64(inner), precision == .bf16 ? 1 : 0) != 0
  }

  private var reorder: Reorder?

  /// Reorders `source` into place. Throws ``OneDNNError``.
  ///
  /// - Parameter transposed: `source` is [outer × inner], as PyTorch stores weights, instead of [inner × outer].
  package func pack(_ source: MatrixView, transposed: Bool) throws {
    precondition(
      transposed ? source.rows == outer && source.columns == inner : source.rows == inner && source.columns == outer,
      "weights of another shape than the packed matrix")
    let reorder: Reorder
    if let known = self.reorder, known.stride == source.stride, known.transposed == transposed {
      reorder = known
    } else {
      reorder = try Reorder(source, transposed: transposed, into: self)
      self.reorder = reorder
    }
    try reorder.execute(source)
  }
}

/// A compiled reorder from plain weights into a packed matrix, kept because weights are packed at every step.
private final class Reorder {
  let stride: Int
  let transposed: Bool
  private let stream: OneDNNStream
  private let primitive: dnnl_primitive_t
  private let from: dnnl_memory_t
  private let to: dnnl_memory_t

  init(_ source: MatrixView, transposed: Bool, into matrix: borrowing PackedMatrix) throws {
    stride = source.stride
    self.transposed = transposed
    stream = try OneDNNStream()
    let plain = try MemoryDescription(
      rows: matrix.inner, columns: matrix.outer, rowStride: transposed ? 1 : source.stride,
      columnStride: transposed ? source.stride : 1)
    var description: dnnl_primitive_desc_t?
    try check(ls_reorder_describe(&description, stream.engine, plain.raw, matrix.description.raw), "reorder")
    defer { dnnl_primitive_desc_destroy(description) }
    var primitive: dnnl_primitive_t?
    try check(dnnl_primitive_create(&primitive, description), "reorder")
    var from: dnnl_memory_t?
    var to: dnnl_memory_t?
    do {
      try check(ls_memory_create_unbound(&from, plain.raw, stream.engine), "dnnl_memory_create")
      try check(ls_memory_create_unbound(&to, matrix.description.raw, stream.engine), "dnnl_memory_create")
      try check(ls_memory_bind(to, matrix.packed.pointer), "dnnl_memory_set_data_handle")
    } catch {
      if let from { dnnl_memory_destroy(from) }
      if let to { dnnl_memory_destroy(to) }
      dnnl_primitive_destroy(primitive)
      throw error
    }
    self.primitive = primitive!
    self.from = from!
    self.to = to!
  }

  func execute(_ source: MatrixView) throws {
    try check(ls_memory_bind(from, source.pointer), "dnnl_memory_set_data_handle")
    try check(ls_reorder_execute(primitive, stream.stream, from, to), "reorder")
  }

  deinit {
    dnnl_memory_destroy(from)
    dnnl_memory_destroy(to)
    dnnl_primitive_destroy(primitive)
  }
}
