import Parameters
import Sharding

/// The gradient summed over one subtree of the shard tree, by addend.
///
/// Listed rows are stored compactly: row i of the values belongs to row `touched[i]` of the parameter.
package final class SubtreeGradient {
  package let node: ShardTree.Node
  package let addends: [Addend]
  /// By addend; [rows, columns].
  package let values: [FloatBuffer]
  /// By addend: the listed rows, ascending; empty for addends of all rows.
  package var touched: [[Int32]]

  /// - Parameter memory: allocates the values, which other workers may have to read.
  package init(_ addends: [Addend], _ plan: BatchPlan, _ node: ShardTree.Node, memory: FloatMemory) throws {
    (self.node, self.addends) = (node, addends)
    values = try addends.map { try memory(Self.mostRows($0, plan, node) * $0.parameter.columns) }
    touched = addends.map { _ in [] }
  }

  /// The most rows of an addend in a subtree, on any worker.
  package static func mostRows(_ addend: Addend, _ plan: BatchPlan, _ node: ShardTree.Node) -> Int {
    switch addend.rows {
    case .all: addend.parameter.rows
    case .listed: min(addend.parameter.rows, plan.mostRows(in: node.shards))
    }
  }

  /// Bytes of the gradients of a worker: one for each of its subtrees.
  package static func bytes(_ addends: [Addend], _ plan: BatchPlan, rank: Int) -> Int {
    plan.subtrees(of: rank).reduce(0) { total, node in
      addends.reduce(total) { $0 + MemoryLayout<Float>.stride * mostRows($1, plan, node) * $1.parameter.columns }
    }
  }

  /// The rows that the addend holds now.
  package func matrix(_ addend: Int) -> MatrixView {
    let parameter = addends[addend].parameter
    let rows = addends[addend].rows == .all ? parameter.rows : touched[addend].count
    return values[addend].matrix(rows, parameter.columns)
  }
}
