import Corpus
import Failures
import Interfaces
import Kernels
import Parameters
import Sharding

/// Labels the words of sentences with a trained tagger.
package final class Labeller {
  /// A sentence's words and their labels.
  package struct Answer: Sendable, Equatable {
    package let words: [String]
    package let labels: [String]
    /// By word, then by label id; nil if they were not asked for.
    package let probabilities: [[Double]]?
  }

  package let labels: [String]
  private let architecture: any Architecture<Sentences>
  private let weights: PackedParameters
  private let wordIDs: [[UInt8]: Int32]
  private let unknown: Int32?

  /// - Parameter labels: by id.
  package init(
    _ architecture: any Architecture<Sentences>, _ weights: PackedParameters, vocabulary: Vocabulary, labels: [String]
  ) {
    (self.architecture, self.weights, self.labels) = (architecture, weights, labels)
    wordIDs = Dictionary(uniqueKeysWithValues: vocabulary.tokens.enumerated().map { (Array($1.utf8), Int32($0)) })
    unknown = vocabulary.unknown
  }

  /// Labels sentences, each a list of words; one without words has no labels.
  ///
  /// - Throws: ``Failure`` if there is not enough memory, or the probabilities are not finite.
  package func label(_ sentences: [[String]], withProbabilities: Bool) throws -> [Answer] {
    let lengths = sentences.map(\.count)
    let some = sentences.indices.filter { lengths[$0] > 0 }
    var (found, probabilities) = (sentences.map { $0.map { _ in "" } }, sentences.map { $0.map { _ in [Double]() } })
    if !some.isEmpty {
      let plan = BatchPlan(lengths: some.map { lengths[$0] }, sequences: some.count, shards: 1)
      guard let predictor = try architecture.makeScorer(weights, plan, rank: 0) as? any Predictor<Sentences> else {
        preconditionFailure("a tagger that gives no answers")
      }
      let batch = Batch(Sentences(capacity: plan.mostRows(of: 0)), units: plan.rowLists(of: 0))
      batch.input.fill(lengths: some.map { lengths[$0] }) { (id(of: sentences[some[$0]][$1]), -1) }
      plan.list(batch.units, of: 0, count: some.count, batch.input.layout, columns: batch.input.order.columns)
      var nats = [Double](repeating: 0, count: batch.unitCount)
      var answers = [Int32](repeating: 0, count: batch.unitCount)
      try predictor.predict(batch, nats: &nats, answers: &answers)
      let places = batch.units.flatMap(\.rows).map { row in
        let position = batch.input.layout.position(of: Int(row))
        return (sentence: some[batch.input.order.sequences[position.sequence]], word: position.step)
      }
      for (place, answer) in zip(places, answers) { found[place.sentence][place.word] = labels[Int(answer)] }
      if withProbabilities {
        try predictor.probabilities(batch) { unit, values in
          probabilities[places[unit].sentence][places[unit].word] = values
        }
        guard probabilities.joined().joined().allSatisfy(\.isFinite) else {
          throw Failure(
            .badData, "the model's probabilities are not finite",
            remedy: "the run had diverged; take an earlier checkpoint")
        }
      }
    }
    return sentences.indices.map {
      Answer(
        words: sentences[$0], labels: found[$0], probabilities: withProbabilities ? probabilities[$0] : nil)
    }
  }

  /// Bytes that ``label(_:withProbabilities:)`` allocates for these sentences, apart from its answers.
  package func bytes(_ sentences: [[String]]) -> Int {
    let lengths = sentences.map(\.count).filter { $0 > 0 }
    guard !lengths.isEmpty else { return 0 }
    let plan = BatchPlan(lengths: lengths, sequences: lengths.count, shards: 1)
    return architecture.scorerBytes(plan, rank: 0, precision: .f32)
  }

  private func id(of word: String) -> Int32 { wordIDs[Array(word.utf8)] ?? unknown ?? 0 }
}
