import Arena
import Corpus
import Foundation
import Kernels
import Recurrent
import Testing
import Training
import Workers

@Suite struct EvaluatorTests {
  private static let tokens: [Int32] = {
    var random = RandomStream(seed: 2, stream: 2)
    return (0..<331).map { _ in Int32(random.nextUnit() * 29) }
  }()

  private static func makeWeights(_ cell: Cell) throws -> ModelWeights {
    let shape = ModelShape(cell: cell, vocabularySize: 29, embeddingSize: 12, hiddenSize: 17, layers: 2)
    let weights = try ModelWeights(shape, .best, training: false)
    Initialization.uniform(range: 0.4).fill(weights.parameters, shape: shape, seed: 3)
    weights.pack()
    return weights
  }

  private static func evaluate(
    _ group: any WorkerGroup, _ weights: ModelWeights, streams: Int, window: Int, shards: Int
  ) throws -> Evaluator.Result {
    let evaluator = try Evaluator(
      group, weights: weights, source: InMemoryTokens(tokens), streams: streams, window: window, shards: shards)
    // Twice: states and losses of an earlier evaluation must not count.
    _ = try evaluator.evaluate()
    return try evaluator.evaluate()
  }

  /// Token by token from a zero state, softmax in Double.
  private func naive(_ weights: ModelWeights, streams: Int) throws -> (tokens: Int, nats: Double) {
    let tokens = Self.tokens
    let model = try LanguageModel(weights, batch: LocalBatch(window: 1, streams: 1, shards: 1), training: false)
    let window = Window(steps: 1, streams: 1)
    let length = tokens.count / streams
    var (count, sum) = (0, 0.0)
    for stream in 0..<streams {
      let start = stream * length
      let end = stream == streams - 1 ? tokens.count - 1 : start + length
      model.resetStates()
      for position in start..<end {
        window.inputs[0] = tokens[position]
        let logits = try model.lastLogits(window)
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
    let weights = try Self.makeWeights(cell)
    let expected = try naive(weights, streams: streams)
    #expect(expected.tokens == Self.tokens.count - 1)
    for window in [1, 10, 64, 1000] {
      let shards = min(streams, 3)
      let result = try Self.evaluate(SingleWorker(), weights, streams: streams, window: window, shards: shards)
      #expect(result.tokens == expected.tokens)
      #expect(abs(result.natsPerToken - expected.nats) < 1e-6, "window \(window)")
      #expect(result.perplexity == exp(result.natsPerToken))
      #expect(abs(result.bitsPerToken * log(2) - result.natsPerToken) < 1e-12)
    }
  }

  @Test func anyNumberOfWorkersGivesTheSameBits() throws {
    let weights = try Self.makeWeights(.lstm)
    let alone = try Self.evaluate(SingleWorker(), weights, streams: 9, window: 13, shards: 5)
    for workers in 2...4 {
      let results = try onWorkers(workers) { try Self.evaluate($0, weights, streams: 9, window: 13, shards: 5) }
      #expect(results == Array(repeating: alone, count: workers))
    }
  }

  /// More workers than eight, which the shards of a run are bounded by unless it says otherwise.
  @Test func upToTwelveWorkersGiveTheSameBits() throws {
    let weights = try Self.makeWeights(.lstm)
    let shards = Evaluator.shards(streams: 13)
    let alone = try Self.evaluate(SingleWorker(), weights, streams: 13, window: 64, shards: shards)
    for workers in 2...12 {
      let results = try onWorkers(workers) {
        try Self.evaluate($0, weights, streams: 13, window: 64, shards: Evaluator.shards(streams: 13))
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
    let weights = try Self.makeWeights(.lstm)
    let failures = try onWorkers(3) { group -> WorkerFailure? in
      let evaluator = try Evaluator(
        group, weights: weights, source: TornSource(), streams: 3, window: 10, shards: 3)
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
    let evaluator = try Evaluator(
      SingleWorker(), weights: Self.makeWeights(.lstm), source: InMemoryTokens(Self.tokens), streams: 2, window: 50,
      shards: 1)
    var shares: [Double] = []
    _ = try evaluator.evaluate { shares.append($0) }
    #expect(shares == [0.25, 0.5, 0.75, 1])
  }
}
