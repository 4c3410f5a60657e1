import Corpus
import Foundation
import Kernels
import Layers
import Models
import Parameters
import Sharding
import TestSupport
import Testing
import Training
import Workers

@Suite struct EvaluatorTests {
  private static let tokens: [Int32] = {
    var random = RandomStream(seed: 2, stream: 2)
    return (0..<331).map { _ in Int32(random.nextUnit() * 29) }
  }()

  /// A model and its weights.
  private struct Model: Sendable {
    let architecture: LanguageArchitecture
    let weights: PackedParameters

    init(_ cell: Cell) throws {
      architecture = LanguageArchitecture(
        .init(cell: cell, vocabularySize: 29, embeddingSize: 12, hiddenSize: 17, layers: 2))
      weights = try PackedParameters(architecture.layout, .best, needsBackward: false)
      architecture.initialize(weights.store, .uniform(range: 0.4), seed: 3)
      weights.pack()
    }
  }

  private static func evaluate(
    _ group: any WorkerGroup, _ model: Model, streams: Int, window: Int, shards: Int
  ) throws -> Evaluation {
    let evaluator = try Evaluator(
      group, source: InMemoryTokens(tokens), streams: streams, window: window, shards: shards
    ) { try LanguageScorer(model.architecture, model.weights, $0, rank: group.rank) }
    // Twice: states and losses of an earlier evaluation must not count.
    _ = try evaluator.evaluate()
    return try evaluator.evaluate()
  }

  /// Token by token from a zero state, softmax in Double.
  private func naive(_ model: Model, streams: Int) throws -> (tokens: Int, nats: Double) {
    let tokens = Self.tokens
    let decoder = try LanguageScorer(
      model.architecture, model.weights, BatchPlan(window: 1, sequences: 1, shards: 1), rank: 0)
    let length = tokens.count / streams
    var (count, sum) = (0, 0.0)
    for stream in 0..<streams {
      let start = stream * length
      let end = stream == streams - 1 ? tokens.count - 1 : start + length
      decoder.resetStates()
      for position in start..<end {
        let logits = try decoder.advance([tokens[position]])
        let values = (0..<logits.columns).map { Double(logits[0, $0]) }
        let maximum = values.max() ?? 0
        sum += log(values.reduce(0) { $0 + exp($1 - maximum) }) + maximum - values[Int(tokens[position + 1])]
        count += 1
      }
    }
    return (count, sum / Double(count))
  }

  @Test(arguments: [Cell.lstm, .gru(.after), .gru(.before), .elman(.tanh)], [1, 4, 7])
  func equalsTheNaiveSum(cell: Cell, streams: Int) throws {
    let model = try Model(cell)
    let expected = try naive(model, streams: streams)
    #expect(expected.tokens == Self.tokens.count - 1)
    for window in [1, 10, 64, 1000] {
      let shards = min(streams, 3)
      let result = try Self.evaluate(SingleWorker(), model, streams: streams, window: window, shards: shards)
      #expect(result.tokens == expected.tokens)
      #expect(abs(result.natsPerToken - expected.nats) < 1e-6, "window \(window)")
      #expect(result.perplexity == exp(result.natsPerToken))
      #expect(abs(result.bitsPerToken * log(2) - result.natsPerToken) < 1e-12)
    }
  }

  @Test func anyNumberOfWorkersGivesTheSameBits() throws {
    let model = try Model(.lstm)
    let alone = try Self.evaluate(SingleWorker(), model, streams: 9, window: 13, shards: 5)
    for workers in 2...4 {
      let results = try onWorkers(workers) { try Self.evaluate($0, model, streams: 9, window: 13, shards: 5) }
      #expect(results == Array(repeating: alone, count: workers))
    }
  }

  /// More workers than eight, which the shards of a run are bounded by unless it says otherwise.
  @Test func upToTwelveWorkersGiveTheSameBits() throws {
    let model = try Model(.lstm)
    let shards = BatchPlan.scoringShards(sequences: 13)
    let alone = try Self.evaluate(SingleWorker(), model, streams: 13, window: 64, shards: shards)
    for workers in 2...12 {
      let results = try onWorkers(workers) {
        try Self.evaluate($0, model, streams: 13, window: 64, shards: BatchPlan.scoringShards(sequences: 13))
      }
      #expect(results == Array(repeating: alone, count: workers))
    }
  }

  @Test func aSourceThatFailsEndsAllWorkers() throws {
    struct TornSource: TokenSource {
      var count: Int { EvaluatorTests.tokens.count }
      func read(_ range: Range<Int>, into ids: UnsafeMutableBufferPointer<Int32>) throws {
        if range.contains(200) { throw POSIXError(.EIO) }
        ids.update(repeating: 1)
      }
    }
    let model = try Model(.lstm)
    let failures = try onWorkers(3) { group -> WorkerFailure? in
      let evaluator = try Evaluator(group, source: TornSource(), streams: 3, window: 10, shards: 3) {
        try LanguageScorer(model.architecture, model.weights, $0, rank: group.rank)
      }
      do {
        _ = try evaluator.evaluate()
        return nil
      } catch let failure as WorkerFailure {
        return failure
      }
    }
    #expect(failures.count == 3 && failures.allSatisfy { $0?.rank == 1 && $0 == failures[0] })
  }

  @Test func progressEndsAtOne() throws {
    let model = try Model(.lstm)
    let evaluator = try Evaluator(
      SingleWorker(), source: InMemoryTokens(Self.tokens), streams: 2, window: 50, shards: 1
    ) { try LanguageScorer(model.architecture, model.weights, $0, rank: 0) }
    var shares: [Double] = []
    _ = try evaluator.evaluate { shares.append($0) }
    #expect(shares == [0.25, 0.5, 0.75, 1])
  }
}
