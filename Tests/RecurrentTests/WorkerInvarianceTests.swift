import Arena
import Kernels
import NumericSupport
import Recurrent
import Testing

/// The promise that the number of workers changes the speed and nothing else, at the level of one step's gradients.
@Suite struct WorkerInvarianceTests {
  /// Everything that two windows of training leave behind, as bit patterns.
  struct Outcome: Equatable {
    var gradients: [UInt32] = []
    var tiedEmbedding: [UInt32] = []
    var losses: [UInt64] = []
    /// By state name, all streams.
    var states: [String: [UInt32]] = [:]
  }

  struct Setting: CustomTestStringConvertible, Sendable {
    let cell: Cell
    var streams = 13
    var shards = 5
    var hidden = 33
    var embedding = 9
    var vocabulary = 65
    var layers = 2
    var tied = false
    var dropout = 0.0
    var kind = ProductKind(.best, .f32)

    var shape: ModelShape {
      ModelShape(
        cell: cell, vocabularySize: vocabulary, embeddingSize: tied ? hidden : embedding, hiddenSize: hidden,
        layers: layers, tied: tied)
    }
    var testDescription: String {
      "\(cell) \(streams) streams in \(shards) shards, H=\(hidden) V=\(vocabulary) tied=\(tied) dropout=\(dropout) \(kind)"
    }
  }

  static let settings = ProductKind.available.flatMap { kind in
    (kind.precision == .f32 ? f32Settings : bf16Settings).map { setting in
      var setting = setting
      setting.kind = kind
      return setting
    }
  }

  private static let f32Settings =
    allCells.flatMap {
      [Setting(cell: $0), Setting(cell: $0, shards: 8, hidden: 24, tied: true, dropout: 0.3)]
    }
    // Gradients of the first layer summed by token: 13 rows or more a shard.
    + allCells.flatMap {
      [
        Setting(cell: $0, vocabulary: 6),
        Setting(cell: $0, streams: 23, shards: 8, hidden: 24, vocabulary: 7, layers: 1, tied: true),
      ]
    }
    + [
      Setting(cell: .lstm, streams: 7, shards: 7, hidden: 1, embedding: 1, vocabulary: 2, layers: 3),
      Setting(cell: .lstm, streams: 20, shards: 4, hidden: 200, embedding: 200, vocabulary: 1000, dropout: 0.5),
      Setting(cell: .gru(.before), streams: 17, shards: 3, hidden: 128, embedding: 64, dropout: 0.5),
    ]

  private static let bf16Settings =
    allCells.flatMap {
      [Setting(cell: $0, shards: 7, tied: true, dropout: 0.3), Setting(cell: $0, vocabulary: 6)]
    }
    + [Setting(cell: .lstm, streams: 20, shards: 8, hidden: 200, embedding: 100, vocabulary: 1000)]

  @Test(arguments: settings) func gradientsHaveTheSameBitsOnAnyNumberOfWorkers(_ setting: Setting) throws {
    let alone = try train(setting, workers: 1)
    #expect(alone.gradients.contains { $0 != 0 })
    for workers in 2...setting.shards {
      let together = try train(setting, workers: workers)
      // Not `together == alone`: a failure would print every value.
      let same = together == alone
      #expect(same, "\(workers) workers")
    }
  }

  @Test(arguments: settings) func chunksOfTheSoftmaxChangeNoBit(_ setting: Setting) throws {
    let whole = try train(setting, workers: 1)
    for (rows, workers) in [(1, 1), (3, 1), (11, 2), (30, 1)] {
      let chunked = try train(setting, workers: workers, chunkFloats: rows * setting.vocabulary)
      let same = chunked == whole
      #expect(same, "chunks of \(rows) rows, \(workers) workers")
    }
  }

  /// A full window and a ragged one with ended streams, computed worker after worker, then summed along the tree.
  private func train(_ setting: Setting, workers: Int, chunkFloats: Int? = nil) throws -> Outcome {
    let weights = try randomWeights(
      setting.shape, range: 0.2, arithmetic: setting.kind.arithmetic,
      precision: setting.kind.precision)
    let full = GlobalWindow(steps: 5, streams: setting.streams, vocabularySize: setting.vocabulary, seed: 3)
    var ragged = GlobalWindow(steps: 3, streams: setting.streams, vocabularySize: setting.vocabulary, seed: 4)
    ragged.endStreams(from: setting.streams / 2)
    let tree = ShardTree(count: setting.shards)
    var arenas: [ShardTree.Node: [Float]] = [:]
    var tied: [ShardTree.Node: [Float]] = [:]
    var outcome = Outcome()
    for rank in 0..<workers {
      let batch = LocalBatch(
        window: 5, streams: setting.streams, shards: setting.shards, rank: rank, workers: workers)
      let model = try LanguageModel(
        weights, batch: batch, dropout: Dropout(probability: setting.dropout, seed: 9), training: true,
        chunkFloats: chunkFloats)
      try model.trainingPass(full.local(batch.streams), step: 0)
      try model.trainingPass(ragged.local(batch.streams), step: 1)
      for gradient in model.gradients {
        arenas[gradient.rows.node] = Array(gradient.store.values.buffer)
        tied[gradient.rows.node] = gradient.tiedEmbedding.map { Array($0.buffer) }
      }
      outcome.losses += model.shardLosses.map(\.bitPattern)
      for state in model.states { outcome.states[state.name, default: []] += state.values.map(\.bitPattern) }
    }
    outcome.gradients = sum(tree.root, arenas, tree).map(\.bitPattern)
    if setting.tied { outcome.tiedEmbedding = sum(tree.root, tied, tree).map(\.bitPattern) }
    return outcome
  }

  private func sum(_ node: ShardTree.Node, _ values: [ShardTree.Node: [Float]], _ tree: ShardTree) -> [Float] {
    if let known = values[node] { return known }
    let (left, right) = tree.children(of: node)
    let leftSum = sum(left, values, tree)
    return right.map { zip(leftSum, sum($0, values, tree)).map { $0 + $1 } } ?? leftSum
  }
}
