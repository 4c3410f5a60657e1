import Interfaces
import Parameters
import Sharding

extension TreeExchange {
  /// Floats that a worker's exchange allocates for messages and sums.
  ///
  /// - Parameter tables: parameters with listed rows.
  package static func floats(_ tables: [Parameter], _ plan: BatchPlan, rank: Int, sharesMemory: Bool) -> Int {
    let rows = tables.reduce(0) { $0 + RowSums.floats($1, plan, sharesMemory: sharesMemory) }
    let others = (0..<plan.workers).filter { $0 != rank }.reduce(0) { $0 + plan.subtrees(of: $1).count }
    return rows + (sharesMemory ? 0 : others * TreeReduction.pieceFloats) + stretch
  }
}
