import Arena
import Kernels

/// The part of the global batch that one worker computes: a run of gradient shards, each a run of streams.
package struct LocalBatch: Sendable {
  /// T, time steps of a full window.
  package let window: Int
  /// B, streams of all workers.
  package let globalStreams: Int
  package let tree: ShardTree
  /// The gradient shards of this worker.
  package let shards: Range<Int>
  /// The streams of this worker, in global numbers.
  package let streams: Range<Int>
  /// The subtrees that this worker sums by itself, each with its rows.
  package let nodes: [ShardRows]

  /// - Precondition: workers ≤ shards ≤ streams, as the configuration checks.
  package init(window: Int, streams: Int, shards: Int, rank: Int = 0, workers: Int = 1) {
    precondition(
      shards <= streams && workers <= shards && rank < workers, "more shards than streams, or workers than shards")
    self.window = window
    globalStreams = streams
    tree = ShardTree(count: shards)
    self.shards = tree.shards(ofWorker: rank, of: workers)
    func streamsOf(_ shard: Int) -> Range<Int> { (shard * streams / shards)..<((shard + 1) * streams / shards) }
    let first = streamsOf(self.shards.lowerBound).lowerBound
    self.streams = first..<streamsOf(self.shards.upperBound - 1).upperBound
    let local = self.streams
    nodes = tree.maximalSubtrees(covering: self.shards).map { node in
      ShardRows(
        node: node,
        streams: node.shards.map {
          (streamsOf($0).lowerBound - local.lowerBound)..<(streamsOf($0).upperBound - local.lowerBound)
        },
        localStreams: local.count, steps: window)
    }
  }

  /// Rows of a full window: T·B of this worker.
  package var rows: Int { window * streams.count }

  /// Lists the rows of a window of `steps` time steps.
  package func prepare(steps: Int) {
    for node in nodes { node.prepare(steps: steps) }
  }
}
