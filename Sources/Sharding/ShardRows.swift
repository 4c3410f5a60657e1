import Parameters

/// Rows of a matrix in the order in which one subtree of the shard tree adds them up: shard after shard.
///
/// Rows of a batch are time-major, row = t·B + b, because one time step must be one product; a gradient shard is a run of
/// sequences, so its rows are scattered and listed here.
package final class ShardRows {
  package let node: ShardTree.Node
  private let rowList: Buffer<Int32>
  private let endList: Buffer<Int32>
  private var listed = 0
  private var listedShards = 0

  /// - Parameter capacity: the most rows of all shards of the subtree together.
  package init(_ node: ShardTree.Node, capacity: Int) {
    self.node = node
    rowList = Buffer(repeating: 0, count: capacity)
    endList = Buffer(repeating: 0, count: node.shards.count)
  }

  /// Starts a new list: rows and ``endShard()`` follow, once for each shard.
  package func removeAll() { (listed, listedShards) = (0, 0) }

  package func append(_ row: Int) {
    precondition(listed < rowList.count, "more rows than the plan allows")
    rowList[listed] = Int32(row)
    listed += 1
  }

  package func append(_ rows: Range<Int>) { for row in rows { append(row) } }

  /// Ends the list of a shard, which may be empty.
  package func endShard() {
    endList[listedShards] = Int32(listed)
    listedShards += 1
  }

  package var count: Int { listed }
  package var shardCount: Int { node.shards.count }
  package var rows: UnsafeBufferPointer<Int32> { UnsafeBufferPointer(rebasing: rowList.values[0..<listed]) }
  /// Where each shard ends in ``rows``.
  package var ends: UnsafeBufferPointer<Int32> { UnsafeBufferPointer(endList.values) }
  /// The places in ``rows`` of some shards, counted from the subtree's first.
  package func places(of shards: Range<Int>) -> Range<Int> {
    (shards.lowerBound == 0 ? 0 : Int(endList[shards.lowerBound - 1]))..<Int(endList[shards.upperBound - 1])
  }
}

extension BatchPlan {
  /// Empty row lists of a worker, one for each of its subtrees, with room for all rows of the longest batch.
  package func rowLists(of rank: Int) -> [ShardRows] {
    subtrees(of: rank).map { ShardRows($0, capacity: mostRows(in: $0.shards)) }
  }

  /// Lists the rows of a batch of `count` sequences: inside a shard by time step, then by sequence.
  ///
  /// - Parameters:
  ///   - layout: that of this worker's sequences.
  ///   - columns: where each of this worker's sequences stands in the layout; nil: in their own order.
  package func list(
    _ rows: [ShardRows], of rank: Int, count: Int, _ layout: TimeMajorRows, columns: [Int]? = nil
  ) {
    let first = sequences(of: rank, in: count).lowerBound
    for subtree in rows {
      subtree.removeAll()
      for shard in subtree.node.shards {
        let own = sequences(ofShard: shard, in: count).map { columns?[$0 - first] ?? $0 - first }
        for step in 0..<(own.lazy.map(layout.length(of:)).max() ?? 0) {
          let reaching = layout.rows(of: step).count
          for column in own where column < reaching { subtree.append(layout.row(step: step, sequence: column)) }
        }
        subtree.endShard()
      }
    }
  }
}
