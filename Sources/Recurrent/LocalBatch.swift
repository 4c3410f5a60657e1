import Arena
import Kernels

/// The part of the global batch that one worker computes: a run of gradient shards, each a run of streams.
package struct LocalBatch: Sendable {
  /// T, time steps of a full window as configured. What decides bits follows from it, whatever the data fills of it.
  package let window: Int
  /// The most time steps that a window of the data has: what buffers are made for.
  package let mostSteps: Int
  /// B, streams of all workers.
  package let globalStreams: Int
  package let tree: ShardTree
  /// The gradient shards of this worker.
  package let shards: Range<Int>
  /// The streams of this worker, in global numbers.
  package let streams: Range<Int>
  /// The subtrees that this worker sums by itself, each with its rows.
  package let nodes: [ShardRows]

  /// - Parameter mostSteps: nil: as many as the window has.
  /// - Precondition: workers ≤ shards ≤ streams, as the configuration checks.
  package init(
    window: Int, mostSteps: Int? = nil, streams: Int, shards: Int, rank: Int = 0, workers: Int = 1
  ) {
    precondition(
      shards <= streams && workers <= shards && rank < workers, "more shards than streams, or workers than shards")
    self.window = window
    let mostSteps = min(window, mostSteps ?? window)
    self.mostSteps = mostSteps
    globalStreams = streams
    tree = ShardTree(count: shards)
    self.shards = tree.shards(ofWorker: rank, of: workers)
    func streamsOf(_ shard: Int) -> Range<Int> { Self.streams(ofShard: shard, of: shards, streams: streams) }
    let first = streamsOf(self.shards.lowerBound).lowerBound
    self.streams = first..<streamsOf(self.shards.upperBound - 1).upperBound
    let local = self.streams
    nodes = tree.maximalSubtrees(covering: self.shards).map { node in
      ShardRows(
        node: node,
        streams: node.shards.map {
          (streamsOf($0).lowerBound - local.lowerBound)..<(streamsOf($0).upperBound - local.lowerBound)
        },
        localStreams: local.count, steps: mostSteps)
    }
  }

  /// The streams of any gradient shard, in global numbers.
  package func streams(ofShard shard: Int) -> Range<Int> {
    Self.streams(ofShard: shard, of: tree.count, streams: globalStreams)
  }

  private static func streams(ofShard shard: Int, of shards: Int, streams: Int) -> Range<Int> {
    (shard * streams / shards)..<((shard + 1) * streams / shards)
  }

  /// The same batch as worker `rank` of `workers` sees it.
  package func ofWorker(_ rank: Int, of workers: Int) -> LocalBatch {
    LocalBatch(
      window: window, mostSteps: mostSteps, streams: globalStreams, shards: tree.count, rank: rank, workers: workers)
  }

  /// The most rows of a window: T·B of this worker.
  package var rows: Int { mostSteps * streams.count }

  /// Lists the rows of a window of `steps` time steps.
  package func prepare(steps: Int) {
    for node in nodes { node.prepare(steps: steps) }
  }
}
