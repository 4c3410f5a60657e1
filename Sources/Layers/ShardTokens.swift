import Kernels
import Parameters
import Sharding

/// The distinct tokens of each gradient shard of a worker. The first layer's gradients are summed over the rows of each
/// token in a shard before they are multiplied, so the products run over the shards' vocabularies instead of their
/// positions.
///
/// That rounds differently from a product over positions. It changes nothing between workers: a shard's sums follow from
/// the shard alone, and the tree above the shards is the same.
package final class ShardTokens {
  /// The entries of each subtree of the worker.
  let entries: [ShardRows]
  private let distinct: DistinctTokens

  /// Whether gradients are summed by token: as it shows in the bits, it follows from the configuration alone, not from
  /// the tokens of a batch or the number of workers.
  ///
  /// The bound is half of a full window's rows in a shard. Then at least half of the work of two products is saved
  /// whatever the text, against one pass over the gates' gradients that adds them up; and the sums need at most half
  /// the memory of those gradients. Beyond it a text still repeats its tokens, but nothing says how often. A full window
  /// is the configured one, also where streams are shorter.
  package static func pay(vocabularySize: Int, _ plan: BatchPlan) -> Bool {
    2 * vocabularySize * plan.tree.count <= plan.window * plan.sequences
  }

  /// The most entries of some shards.
  package static func capacity(of shards: Range<Int>, vocabularySize: Int, _ plan: BatchPlan) -> Int {
    shards.reduce(0) { $0 + min(vocabularySize, plan.mostRows(in: $1..<($1 + 1))) }
  }

  init(vocabularySize: Int, _ plan: BatchPlan, rank: Int, _ arithmetic: Arithmetic) {
    func capacity(_ shards: Range<Int>) -> Int { Self.capacity(of: shards, vocabularySize: vocabularySize, plan) }
    entries = plan.subtrees(of: rank).map { ShardRows($0, capacity: capacity($0.shards)) }
    distinct = DistinctTokens(
      vocabularySize: vocabularySize, rows: plan.mostRows(of: rank), capacity: capacity(plan.shards(of: rank)),
      arithmetic)
  }

  /// The token of each entry, shard after shard.
  var tokens: Buffer<Int32> { distinct.tokens }
  var count: Int { distinct.count }

  /// Lists the tokens of a batch.
  ///
  /// - Parameter rows: the positions of each subtree.
  func list(_ tokens: Buffer<Int32>, rows: [ShardRows]) {
    distinct.removeAll()
    for (positions, entries) in zip(rows, entries) {
      entries.removeAll()
      var begin = 0
      for end in positions.ends {
        let first = distinct.count
        distinct.append(positions.rows[begin..<Int(end)], of: tokens)
        entries.append(first..<distinct.count)
        entries.endShard()
        begin = Int(end)
      }
    }
  }

  /// For each entry the sum of its rows of `source`, in the order of the shard.
  ///
  /// - Parameters:
  ///   - source: [rows, N]
  ///   - rows: the positions of each subtree.
  ///   - sums: [count, N], written.
  func sum(_ source: MatrixView, rows: [ShardRows], into sums: MatrixView) {
    distinct.sum(source, over: rows.lazy.flatMap(\.rows), into: sums)
  }
}
