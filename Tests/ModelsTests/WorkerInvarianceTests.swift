import Interfaces
import Kernels
import Layers
import Models
import NumericSupport
import Parameters
import Sharding
import Testing

/// The promise that the number of workers changes the speed and nothing else, at the level of one step's gradients.
@Suite struct WorkerInvarianceTests {
  /// Everything that two windows of training leave behind, as bit patterns.
  struct Outcome: Equatable {
    /// By addend.
    var gradients: [[UInt32]] = []
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

    var architecture: LanguageArchitecture {
      LanguageArchitecture(
        .init(
          cell: cell, vocabularySize: vocabulary, embeddingSize: tied ? hidden : embedding, hiddenSize: hidden,
          layers: layers, tied: tied), dropout: dropout > 0 ? Dropout(probability: dropout, seed: 9) : nil)
    }
    var testDescription: String {
      "\(cell) \(streams) streams in \(shards) shards, H=\(hidden) V=\(vocabulary) tied=\(tied) dropout=\(dropout) \(kind)"
    }
  }

  /// Else the rows in bf16 would be missed by nobody.
  @Test(.enabled(if: Arithmetic.best.computes(in: .bf16), "this processor has no bf16 instructions"))
  func bf16IsAmongTheSettings() {
    #expect(Self.settings.contains { $0.kind.precision == .bf16 })
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
    #expect(alone.gradients.allSatisfy { $0.contains { $0 != 0 } })
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
    let architecture = setting.architecture
    let weights = try randomWeights(
      architecture, range: 0.2, arithmetic: setting.kind.arithmetic, precision: setting.kind.precision)
    let full = GlobalWindow(steps: 5, streams: setting.streams, vocabularySize: setting.vocabulary, seed: 3)
    var ragged = GlobalWindow(steps: 3, streams: setting.streams, vocabularySize: setting.vocabulary, seed: 4)
    ragged.endStreams(from: setting.streams / 2)
    let tree = ShardTree(count: setting.shards)
    var gradients: [ShardTree.Node: [[Float]]] = [:]
    var outcome = Outcome()
    let plan = BatchPlan(window: 5, sequences: setting.streams, shards: setting.shards, workers: workers)
    for rank in 0..<workers {
      let model = try TrainedModel(architecture, weights, plan, rank: rank, chunkFloats: chunkFloats)
      try model.pass(full.local(plan.sequences(of: rank)), step: 0)
      try model.pass(ragged.local(plan.sequences(of: rank)), step: 1)
      for gradient in model.model.gradients { gradients[gradient.node] = gradient.denseAddends }
      outcome.losses += model.shardLosses.map(\.bitPattern)
      for (name, values) in bits(model.model.carried) { outcome.states[name, default: []] += values }
    }
    for addend in 0..<(gradients.first?.value.count ?? 0) {
      outcome.gradients.append(sum(tree.root, gradients.mapValues { $0[addend] }, tree).map(\.bitPattern))
    }
    return outcome
  }

  private func sum(_ node: ShardTree.Node, _ values: [ShardTree.Node: [Float]], _ tree: ShardTree) -> [Float] {
    if let known = values[node] { return known }
    let (left, right) = tree.children(of: node)
    let leftSum = sum(left, values, tree)
    return right.map { zip(leftSum, sum($0, values, tree)).map { $0 + $1 } } ?? leftSum
  }
}
