import Arena
import Kernels

/// The distinct tokens of each gradient shard of a worker. The first layer's gradients are summed over the rows of
/// each token in a shard before they are multiplied, so the products run over the shards' vocabularies instead of
/// their positions.
///
/// That rounds otherwise than a product over positions. It changes nothing between workers: a shard's sums follow from
/// the shard alone, and the tree above the shards is the same.
final class ShardTokens {
  /// The entries of each subtree that the worker sums by itself, in the order of ``LocalBatch/nodes``.
  private let nodes: [ShardRows]
  private let batch: LocalBatch
  private let distinct: DistinctTokens

  /// Whether gradients are summed by token: as it shows in the bits, it follows from the configuration alone, not from
  /// the tokens of a window or the number of workers.
  ///
  /// The bound is half of a full window's rows in a shard. Then at least half of the work of two products is saved
  /// whatever the text, against one pass over the gates' gradients that adds them up; and the sums need at most half
  /// the memory of those gradients. Beyond it a text still repeats its tokens, but nothing says how often. A full window
  /// is the configured one, also where streams are shorter.
  static func pay(vocabularySize: Int, batch: LocalBatch) -> Bool {
    2 * vocabularySize * batch.tree.count <= batch.window * batch.globalStreams
  }

  init(vocabularySize: Int, batch: LocalBatch, _ arithmetic: Arithmetic) {
    self.batch = batch
    batch.prepare(steps: batch.mostSteps)
    var capacity = 0
    nodes = batch.nodes.map { positions in
      var (begin, entries) = (0, 0)
      for end in positions.ends {
        entries += min(vocabularySize, Int(end) - begin)
        begin = Int(end)
      }
      capacity += entries
      return ShardRows(node: positions.node, capacity: entries)
    }
    distinct = DistinctTokens(
      vocabularySize: vocabularySize, rows: batch.rows, capacity: capacity, arithmetic)
  }

  /// The token of each entry, shard after shard.
  var tokens: UnsafeMutableBufferPointer<Int32> { distinct.tokens }
  var count: Int { distinct.count }
  /// The most entries that a window can have.
  var capacity: Int { distinct.tokens.count }

  /// Lists the tokens of a window, for whose time steps the batch is prepared.
  func list(_ inputs: UnsafeMutableBufferPointer<Int32>) {
    distinct.removeAll()
    for (positions, entries) in zip(batch.nodes, nodes) {
      entries.removeAll()
      var begin = 0
      for end in positions.ends {
        let first = distinct.count
        distinct.append(positions.rows[begin..<Int(end)], of: inputs)
        entries.appendShard(first..<distinct.count)
        begin = Int(end)
      }
    }
  }

  /// For each entry the sum of its rows of `source`, in the order of the shard.
  ///
  /// - Parameters:
  ///   - source: [T·B, N]
  ///   - sums: [≥ count, N], written.
  func sum(_ source: MatrixView, into sums: MatrixView) {
    distinct.sum(source, over: batch.nodes.lazy.flatMap(\.rows), into: sums)
  }

  /// The entries of the subtree whose positions are `positions`.
  func entries(of positions: ShardRows) -> ShardRows {
    guard let entries = nodes.first(where: { $0.node == positions.node }) else {
      preconditionFailure("a subtree of another worker")
    }
    return entries
  }
}
