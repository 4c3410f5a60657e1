import Arena
import Kernels
import Optimizers
import Recurrent
import Testing
import Training

/// Touching only the rows of tokens that occur must give the bits of treating the embedding as dense.
@Suite struct EmbeddingRowsTests {
  struct Setting: Sendable, CustomTestStringConvertible {
    let kind: OptimizerKind
    let streams: Int
    let shards: Int
    let vocabulary: Int
    /// Rows of 33 floats straddle the blocks that segments are made of; the vocabulary covers several blocks.
    var embedding = 33
    var testDescription: String { "\(kind), \(streams) streams in \(shards) shards, vocabulary \(vocabulary)" }
  }

  static let settings = [
    Setting(kind: .sgd(momentum: 0), streams: 8, shards: 8, vocabulary: 3000),
    Setting(kind: .adagrad(epsilon: 1e-10), streams: 7, shards: 5, vocabulary: 3000),
    Setting(kind: .sgd(momentum: 0), streams: 5, shards: 4, vocabulary: 40),
    Setting(kind: .adagrad(epsilon: 1e-10), streams: 9, shards: 3, vocabulary: 2000, embedding: 1),
  ]

  @Test(arguments: settings) func sparseRowsGiveTheBitsOfTheDenseMatrix(_ setting: Setting) throws {
    let dense = try digests(setting, workers: 1, isSparse: false)
    #expect(Set(dense).count == 1)
    for workers in 1...min(4, setting.shards) {
      let sparse = try digests(setting, workers: workers, isSparse: true)
      #expect(sparse == Array(repeating: dense[0], count: workers), "\(workers) workers")
    }
  }

  /// The weights of every worker after some steps over windows that share some tokens and not others.
  private func digests(_ setting: Setting, workers: Int, isSparse: Bool) throws -> [String] {
    try onWorkers(workers) { group in
      let shape = ModelShape(
        cell: .lstm, vocabularySize: setting.vocabulary, embeddingSize: setting.embedding, hiddenSize: 7, layers: 1)
      let (weights, isShared) = try ModelWeights.shared(by: group, shape, .best, training: true) {
        Initialization.uniform(range: 0.3).fill($0, shape: shape, seed: 1)
      }
      let batch = LocalBatch(
        window: 3, streams: setting.streams, shards: setting.shards, rank: group.rank, workers: group.count)
      let model = try LanguageModel(weights, batch: batch, training: true)
      let exchange = try GradientExchange(
        group, model: model, optimizer: setting.kind, weightDecay: 0, method: .tree, sharesWeights: isShared,
        isEmbeddingSparse: isSparse)
      let window = Window(steps: 3, streams: batch.streams.count)
      var random = RandomStream(seed: 5, stream: 0)
      for step in 0..<5 {
        for t in 0..<3 {
          for stream in 0..<setting.streams {
            // The first and last tokens, one that all share, and others at random.
            let drawn = Int32(random.nextUnit() * Double(setting.vocabulary))
            let token = [0, Int32(setting.vocabulary) - 1, 7, drawn, drawn][(t + stream + step) % 5]
            guard batch.streams.contains(stream) else { continue }
            let row = t * batch.streams.count + stream - batch.streams.lowerBound
            window.inputs[row] = token
            window.targets[row] = drawn
          }
        }
        try model.trainingPass(window, step: step)
        _ = try exchange.step(
          scale: 1 / Double(3 * setting.streams), clipNorm: 0.1, learningRate: 0.5, check: { _ in })
      }
      return weights.parameters.digest
    }
  }
}
