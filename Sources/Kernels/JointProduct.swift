import CKernels
import Parameters

/// Workers over one copy of the weights that multiply together: each by a part of the columns, for the rows of all.
///
/// The limit of a recurrent product with few rows is how fast a core fetches the weights. Together each worker fetches its
/// part only. The price is two barriers per product, and copies of its operands in shared memory. No bit changes: each row
/// of a product is by itself.
package final class JointProducts {
  let rank: Int
  /// The rows that each worker has in every product.
  let rows: [Int]
  /// Smaller weights are multiplied by each worker alone: they come from a cache.
  private let minimumBytes: Int
  /// Returns when every worker has called it.
  let barrier: () throws -> Void
  private let floats: FloatMemory
  private let share: ([FloatBuffer]) throws -> [[FloatBuffer]]
  private var products: [JointProduct] = []

  /// With more rows per worker, arithmetic is the limit.
  private static let mostRows = 32
  package static let minimumBytes = 8 << 20

  /// - Parameters:
  ///   - barrier: returns when every worker has called it.
  ///   - floats: allocates memory that can be shared.
  ///   - share: gives every worker the buffers of all; collective.
  package init(
    rank: Int, rows: [Int], minimumBytes: Int = JointProducts.minimumBytes, barrier: @escaping () throws -> Void,
    floats: @escaping FloatMemory, share: @escaping ([FloatBuffer]) throws -> [[FloatBuffer]]
  ) {
    (self.rank, self.rows, self.minimumBytes) = (rank, rows, minimumBytes)
    (self.barrier, self.floats, self.share) = (barrier, floats, share)
  }

  /// Whether some products were worth making together. The same on every worker.
  package private(set) var isUsed = false

  /// Whether a product by these weights is worth making together. The same on every worker.
  private func pays(for weights: PackedMatrix) -> Bool {
    rows.count > 1 && rows.allSatisfy { $0 <= Self.mostRows }
      && weights.packed.count * MemoryLayout<Float>.stride >= minimumBytes
  }

  /// The product by `weights`, to be made by all workers in the same order; nil where each should multiply alone.
  func makeProduct(_ weights: PackedMatrix, fromTheEnd: Bool) throws -> JointProduct? {
    guard pays(for: weights) else { return nil }
    let product = JointProduct(
      weights, self, x: try floats(rows[rank] * (weights.inner + 1)), y: try floats(rows[rank] * weights.outer),
      fromTheEnd: fromTheEnd)
    products.append(product)
    isUsed = true
    return product
  }

  /// Lets the workers see the operands of all products that have been made; collective, before the first pass. Throws what
  /// `share` throws.
  package func connect() throws {
    guard isUsed else { return }
    let shared = try share(products.flatMap { [$0.x, $0.y] })
    for (index, product) in products.enumerated() {
      product.connect(shared.map { ($0[2 * index], $0[2 * index + 1]) })
    }
    products = []
  }
}

/// A product that workers make together (``JointProducts``).
final class JointProduct: RowProduct {
  let weights: PackedMatrix
  /// Of this worker: its rows, as the kernel takes them, and its results.
  fileprivate let x: FloatBuffer
  fileprivate let y: FloatBuffer
  private let workers: JointProducts
  private let operands: ProductOperands
  private var others: [(x: FloatBuffer, y: FloatBuffer)] = []  // keeps alive what the parts point to
  private let parts: Buffer<ls_product_part>

  fileprivate init(_ weights: PackedMatrix, _ workers: JointProducts, x: FloatBuffer, y: FloatBuffer, fromTheEnd: Bool)
  {
    (self.weights, self.workers, self.x, self.y) = (weights, workers, x, y)
    operands = ProductOperands(weights, scratch: OperandScratch(), fromTheEnd: fromTheEnd)
    parts = Buffer(repeating: ls_product_part(x: x.pointer, y: y.pointer, rows: 0), count: workers.rows.count)
  }

  fileprivate func connect(_ all: [(x: FloatBuffer, y: FloatBuffer)]) {
    others = all
    for (index, (operands, rows)) in zip(all, workers.rows).enumerated() {
      parts[index] = ls_product_part(x: operands.x.pointer, y: operands.y.pointer, rows: Int32(rows))
    }
  }

  func multiply(_ x: MatrixView, into y: MatrixView, accumulating: Bool) throws {
    precondition(!others.isEmpty, "a joint product before the workers are connected")
    precondition(x.rows == workers.rows[workers.rank], "a joint product of other rows")
    let (source, stride) = try operands.prepare(x, y)
    // A unit of the stride has four bytes: a float, or a pair of bf16.
    UnsafeMutableRawPointer(self.x.pointer).copyMemory(from: source, byteCount: x.rows * stride * 4)
    if accumulating { self.y.pointer.update(from: y.pointer, count: y.rows * y.columns) }
    try workers.barrier()
    let (rank, count) = (workers.rank, workers.rows.count)
    let panels = (rank * weights.panelCount / count)..<((rank + 1) * weights.panelCount / count)
    operands.run(UnsafeBufferPointer(parts.values), stride: stride, panels: panels, accumulating: accumulating)
    try workers.barrier()
    y.pointer.update(from: self.y.pointer, count: y.rows * y.columns)
  }
}
