import Arena
import CKernels

/// Workers over one copy of the weights that multiply together: each by a part of the columns, for the rows of all.
///
/// The limit of a recurrent product with few rows is how fast a core fetches the weights. Together each worker fetches
/// its part only. The price is two barriers a product, and copies of its operands in shared memory. No bit changes: each
/// row of a product is by itself.
///
/// Products are made with their team first (``Product``); ``connect()`` then lets the workers see one another's operands.
package final class ProductTeam {
  package let rank: Int
  /// The rows that each worker has in every product.
  package let rows: [Int]
  /// Smaller weights are multiplied by each worker alone: they come from a cache.
  private let minimumBytes: Int
  /// Returns when every worker has called it.
  let barrier: () throws -> Void
  private let floats: FloatMemory
  private let share: ([FloatBuffer]) throws -> [[FloatBuffer]]
  private var operands: [TeamOperands] = []

  /// With more rows a worker, arithmetic is the limit.
  private static let mostRows = 32
  package static let minimumBytes = 8 << 20

  /// - Parameters:
  ///   - barrier: returns when every worker has called it.
  ///   - floats: memory that can be shared.
  ///   - share: gives every worker the buffers of all; collective.
  package init(
    rank: Int, rows: [Int], minimumBytes: Int = ProductTeam.minimumBytes, barrier: @escaping () throws -> Void,
    floats: @escaping FloatMemory, share: @escaping ([FloatBuffer]) throws -> [[FloatBuffer]]
  ) {
    self.rank = rank
    self.rows = rows
    self.minimumBytes = minimumBytes
    self.barrier = barrier
    self.floats = floats
    self.share = share
  }

  /// Whether products by `weights` are made together. The same on every worker.
  package func pays(for weights: PackedMatrix) -> Bool {
    rows.count > 1 && rows.allSatisfy { $0 <= Self.mostRows }
      && weights.packed.count * MemoryLayout<Float>.stride >= minimumBytes
  }

  /// Operands for one product; nil where it is made by each worker alone.
  func makeOperands(_ weights: PackedMatrix) throws -> TeamOperands? {
    guard pays(for: weights) else { return nil }
    let made = TeamOperands(
      team: self, x: try floats(rows[rank] * (weights.inner + 1)), y: try floats(rows[rank] * weights.outer))
    operands.append(made)
    return made
  }

  /// Connects the operands of all products that were made with this team; collective, once, before the first product.
  /// Throws what `share` throws.
  package func connect() throws {
    let shared = try share(operands.flatMap { [$0.x, $0.y] })
    for (index, operands) in operands.enumerated() {
      operands.connect(shared.map { ($0[2 * index], $0[2 * index + 1]) })
    }
  }
}

/// The operands of one product of a team, where all workers reach them.
final class TeamOperands {
  /// Of this worker: its rows, as the kernel takes them, and its results.
  let x: FloatBuffer
  let y: FloatBuffer
  /// Of all workers.
  let parts: UnsafeMutableBufferPointer<ls_product_part>
  private var others: [(x: FloatBuffer, y: FloatBuffer)] = []  // which the parts point to
  private unowned let team: ProductTeam

  init(team: ProductTeam, x: FloatBuffer, y: FloatBuffer) {
    (self.team, self.x, self.y) = (team, x, y)
    parts = .allocate(capacity: team.rows.count)
    parts.initialize(repeating: ls_product_part(x: x.pointer, y: y.pointer, rows: 0))
  }

  deinit { parts.deallocate() }

  fileprivate func connect(_ all: [(x: FloatBuffer, y: FloatBuffer)]) {
    others = all
    for (index, (operands, rows)) in zip(all, team.rows).enumerated() {
      parts[index] = ls_product_part(x: operands.x.pointer, y: operands.y.pointer, rows: Int32(rows))
    }
  }

  /// Rows of this worker.
  var rows: Int { team.rows[team.rank] }

  func barrier() throws {
    precondition(!others.isEmpty, "a product of a team that is not connected")
    try team.barrier()
  }

  /// The panels that this worker multiplies by.
  func panels(of count: Int) -> Range<Int> {
    (team.rank * count / team.rows.count)..<((team.rank + 1) * count / team.rows.count)
  }
}
