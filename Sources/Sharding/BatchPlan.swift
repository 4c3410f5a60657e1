/// How the sequences of a global batch are dealt to gradient shards, and those to workers.
///
/// A pure value without a rank: it answers for any worker, so that each knows what the others have. A sequence is a token
/// stream of a language model, or a sentence.
package struct BatchPlan: Sendable, Equatable {
  package let tree: ShardTree
  package let workers: Int
  /// Most sequences of a batch, over all workers.
  package let sequences: Int
  /// Time steps as configured. Whatever shows in the bits follows from this, not from what the data fills of it.
  package let window: Int
  /// The most time steps that the data fills: what buffers are made for.
  package let steps: Int
  /// The most rows of 0, 1, 2 … sequences; nil where all have `steps`.
  private let mostRowsOfSequences: [Int]?

  /// Streams.
  ///
  /// - Parameter steps: nil: as many as `window`.
  /// - Precondition: workers ≤ shards ≤ sequences, as the configuration checks.
  package init(window: Int, steps: Int? = nil, sequences: Int, shards: Int, workers: Int = 1) {
    precondition(shards <= sequences && workers <= shards, "more shards than sequences, or workers than shards")
    self.window = window
    self.steps = min(window, steps ?? window)
    (self.sequences, self.workers) = (sequences, workers)
    tree = ShardTree(count: shards)
    mostRowsOfSequences = nil
  }

  /// Bounded sequences.
  ///
  /// - Parameters:
  ///   - lengths: of all sequences that batches are drawn from.
  ///   - sequences: of a batch, at most.
  /// - Precondition: workers ≤ shards ≤ sequences, as the configuration checks.
  package init(lengths: some Sequence<Int>, sequences: Int, shards: Int, workers: Int = 1) {
    precondition(shards <= sequences && workers <= shards, "more shards than sequences, or workers than shards")
    let longest = lengths.sorted(by: >).prefix(sequences)
    window = longest.first ?? 0
    steps = window
    (self.sequences, self.workers) = (sequences, workers)
    tree = ShardTree(count: shards)
    mostRowsOfSequences = longest.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
  }

  /// The gradient shards of a worker.
  package func shards(of rank: Int) -> Range<Int> { tree.shards(ofWorker: rank, of: workers) }

  /// The subtrees that a worker sums by itself.
  package func subtrees(of rank: Int) -> [ShardTree.Node] { tree.maximalSubtrees(covering: shards(of: rank)) }

  /// The positions of a shard's sequences in a batch of `count`.
  package func sequences(ofShard shard: Int, in count: Int) -> Range<Int> {
    (shard * count / tree.count)..<((shard + 1) * count / tree.count)
  }

  /// The positions of a worker's sequences in a batch of `count`.
  package func sequences(of rank: Int, in count: Int) -> Range<Int> {
    let shards = shards(of: rank)
    return sequences(ofShard: shards.lowerBound, in: count)
      .lowerBound..<sequences(ofShard: shards.upperBound - 1, in: count).upperBound
  }

  /// The positions of a worker's sequences in a full batch.
  package func sequences(of rank: Int) -> Range<Int> { sequences(of: rank, in: sequences) }

  /// The most sequences that some shards have in any batch. Not their share of a full one: of 8 sequences the third shard
  /// of 5 has one, of 7 it has two.
  package func mostSequences(in shards: Range<Int>) -> Int {
    min(sequences, (sequences * shards.count + tree.count - 1) / tree.count)
  }

  /// The most rows that some shards have: of streams, time steps times sequences; else the tokens of the longest
  /// sequences.
  package func mostRows(in shards: Range<Int>) -> Int {
    let sequences = mostSequences(in: shards)
    guard let mostRowsOfSequences else { return sequences * steps }
    return mostRowsOfSequences[min(sequences, mostRowsOfSequences.count - 1)]
  }

  /// The most rows that a worker has.
  package func mostRows(of rank: Int) -> Int { mostRows(in: shards(of: rank)) }
}
