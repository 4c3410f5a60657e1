import Arena

/// Workers over one copy of the weights that multiply together: each by a part of the columns, for the rows of all.
///
/// The limit of a recurrent product with few rows is how fast a core fetches the weights. Together each worker fetches
/// its part only. The price is two barriers a product, and copies of its operands in shared memory. No bit changes: each
/// row of a product is by itself.
package struct ProductTeam {
  package let rank: Int
  /// The rows that each worker has in every product.
  package let rows: [Int]
  /// Returns when every worker has called it.
  package let barrier: () throws -> Void
  /// Memory that can be shared.
  package let floats: FloatMemory
  /// Gives every worker the buffers of all; collective.
  package let share: ([FloatBuffer]) throws -> [[FloatBuffer]]
  /// Smaller weights are multiplied by each worker alone: they come from a cache.
  package var minimumBytes = 8 << 20

  /// With more rows a worker, arithmetic is the limit.
  private static let mostRows = 32

  package init(
    rank: Int, rows: [Int], barrier: @escaping () throws -> Void, floats: @escaping FloatMemory,
    share: @escaping ([FloatBuffer]) throws -> [[FloatBuffer]]
  ) {
    self.rank = rank
    self.rows = rows
    self.barrier = barrier
    self.floats = floats
    self.share = share
  }

  /// Whether products by `weights` are worth working together for. The same on every worker.
  package func pays(for weights: PackedMatrix) -> Bool {
    rows.count > 1 && rows.allSatisfy { $0 <= Self.mostRows } && weights.packed.count * 4 >= minimumBytes
  }
}

/// The operands of one product of a team, where all workers reach them.
struct TeamOperands {
  let team: ProductTeam
  /// Of this worker: its rows, as the kernel takes them, and its results.
  let x: FloatBuffer
  let y: FloatBuffer
  /// Of all workers.
  private let shared: [[FloatBuffer]]
  let parts: [(x: UnsafeRawPointer, y: UnsafeMutablePointer<Float>, rows: Int)]

  /// Collective.
  init(_ team: ProductTeam, _ weights: PackedMatrix) throws {
    self.team = team
    let rows = team.rows[team.rank]
    x = try team.floats(rows * (weights.inner + 1))
    y = try team.floats(rows * weights.outer)
    shared = try team.share([x, y])
    parts = zip(shared, team.rows).map { (UnsafeRawPointer($0[0].pointer), $0[1].pointer, $1) }
  }

  /// The panels that this worker multiplies by.
  func panels(of count: Int) -> Range<Int> {
    let (rank, workers) = (team.rank, team.rows.count)
    return (rank * count / workers)..<((rank + 1) * count / workers)
  }
}
