import Foundation
import Interfaces
import Kernels
import Layers
import Models
import NumericSupport
import Parameters
import Sharding
import Testing

/// A conditional random field against all paths of short sentences.
@Suite struct ChainTests {
  private let labels = ["O", "B-X", "I-X"]
  private let architecture: TaggerArchitecture
  private let weights: PackedParameters
  private let plan = BatchPlan(lengths: [4, 3, 1], sequences: 3, shards: 2)

  init() throws {
    architecture = TaggerArchitecture(
      .init(
        cell: .lstm, vocabularySize: 5, labels: 3, embeddingSize: 4, hiddenSize: 3, layers: 1, isBidirectional: true,
        hasChain: true), labels: labels)
    weights = try PackedParameters(architecture.layout, .best, needsBackward: false)
    architecture.initialize(weights.store, .uniform(range: 2), seed: 3)
    // Makes invalid sequences likely: I-X at the start and after O.
    if let chain = architecture.chain {
      weights.store[chain.start][2] += 3
      weights.store[chain.transitions][2] += 3
    }
    weights.pack()
  }

  private let tokens: [[Int32]] = [[1, 4, 0], [3], [2, 2, 4, 1]]

  private func batch(labels: [[Int32]]) -> Batch<Sentences> {
    let batch = Batch(Sentences(capacity: plan.mostRows(of: 0)), units: plan.rowLists(of: 0))
    batch.input.fill(lengths: tokens.map(\.count)) { (tokens[$0][$1], labels[$0][$1]) }
    plan.list(batch.units, of: 0, count: 3, batch.input.layout, columns: batch.input.order.columns)
    return batch
  }

  private func paths(_ length: Int) -> [[Int32]] {
    (0..<length).reduce([[]]) { paths, _ in paths.flatMap { path in (0..<3).map { path + [Int32($0)] } } }
  }

  private func losses(_ labels: [[Int32]]) throws -> (sentences: [Double], answers: [[Int32]]) {
    let batch = batch(labels: labels)
    let scorer = try TaggerScorer(architecture, weights, plan, rank: 0)
    var nats = [Double](repeating: 0, count: batch.unitCount)
    var answers = [Int32](repeating: 0, count: batch.unitCount)
    try scorer.predict(batch, nats: &nats, answers: &answers)
    var sentences = [Double](repeating: 0, count: 3)
    var found = tokens.map { $0.map { _ in Int32(0) } }
    for (place, row) in batch.units.lazy.flatMap(\.rows).enumerated() {
      let position = batch.input.layout.position(of: Int(row))
      let sentence = batch.input.order.sequences[position.sequence]
      sentences[sentence] += nats[place]
      found[sentence][position.step] = answers[place]
    }
    return (sentences, found)
  }

  @Test func theProbabilitiesOfAllPathsAddUpToOne() throws {
    for (sentence, words) in tokens.enumerated() {
      var total = 0.0
      for path in paths(words.count) {
        var labels = tokens.map { $0.map { _ in Int32(1) } }
        labels[sentence] = path
        total += exp(-(try losses(labels).sentences[sentence]))
      }
      #expect(abs(total - 1) < 1e-6)
    }
  }

  /// Viterbi's answer is the most probable path among those that mark entities properly; unconstrained paths that are
  /// more probable occur here.
  @Test func answersAreTheMostProbableProperPaths() throws {
    let answers = try losses(tokens.map { $0.map { _ in 0 } }).answers
    var improperWins = 0
    for (sentence, words) in tokens.enumerated() {
      func probability(_ path: [Int32]) throws -> Double {
        var labels = tokens.map { $0.map { _ in Int32(1) } }
        labels[sentence] = path
        return exp(-(try losses(labels).sentences[sentence]))
      }
      func isProper(_ path: [Int32]) -> Bool {
        zip([0] + path, path).allSatisfy { $1 != 2 || $0 != 0 }
      }
      let all = try paths(words.count).map { (path: $0, probability: try probability($0)) }
      let best = all.filter { isProper($0.path) }.max { $0.probability < $1.probability }
      #expect(answers[sentence] == best?.path)
      if let first = all.max(by: { $0.probability < $1.probability }), !isProper(first.path) { improperWins += 1 }
    }
    #expect(improperWins > 0)
  }
}
