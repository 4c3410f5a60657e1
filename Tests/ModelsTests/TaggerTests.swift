import Interfaces
import Kernels
import Layers
import Models
import NumericSupport
import Parameters
import ReferenceModels
import Sharding
import Testing

/// A tagger's loss and gradients against its twin, and on any number of workers.
@Suite struct TaggerTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let cell: Cell
    var layers = 2
    var isBidirectional = true
    var dropout = 0.0
    var vocabulary = 9
    var hasChain = false
    var precision = Precision.f32

    var architecture: TaggerArchitecture {
      TaggerArchitecture(
        .init(
          cell: cell, vocabularySize: vocabulary, labels: 4, embeddingSize: 5, hiddenSize: 6, layers: layers,
          isBidirectional: isBidirectional, hasChain: hasChain),
        dropout: dropout > 0 ? Dropout(probability: dropout, seed: 7) : nil, forgetBias: 0.5)
    }

    var testDescription: String {
      "\(cell) layers=\(layers) both=\(isBidirectional) dropout=\(dropout) V=\(vocabulary) crf=\(hasChain) \(precision)"
    }
  }

  static let cases =
    allCells.flatMap { [Case(cell: $0), Case(cell: $0, layers: 1, isBidirectional: false, dropout: 0.3)] }
    // So few words that the first layer's gradients are summed by word.
    + [Case(cell: .lstm, dropout: 0.4), Case(cell: .gru(.before), vocabulary: 2), Case(cell: .lstm, vocabulary: 2)]
    + [Case(cell: .lstm, hasChain: true), Case(cell: .gru(.after), layers: 1, dropout: 0.3, hasChain: true)]

  /// Sentences of a global batch.
  private struct Corpus {
    var sentences: [(tokens: [Int32], labels: [Int32])] = []

    init(lengths: [Int], vocabulary: Int, seed: UInt64) {
      var random = RandomStream(seed: seed, stream: 1)
      for length in lengths {
        sentences.append(
          (
            (0..<length).map { _ in Int32(random.nextUnit() * Double(vocabulary)) },
            (0..<length).map { _ in Int32(random.nextUnit() * 4) }
          ))
      }
    }

    /// The batch of one worker.
    func batch(_ plan: BatchPlan, rank: Int) -> Batch<Sentences> {
      let own = plan.sequences(of: rank, in: sentences.count)
      let batch = Batch(Sentences(capacity: plan.mostRows(of: rank)), units: plan.rowLists(of: rank))
      let lengths = sentences[own].map(\.tokens.count)
      batch.input.fill(lengths: lengths) { column, place in
        let sentence = sentences[own.lowerBound + column]
        return (sentence.tokens[place], sentence.labels[place])
      }
      batch.keys = batch.input.order.sequences.map {
        SequenceKey(draw: 3, sequence: UInt32(100 + own.lowerBound + $0))
      }
      plan.list(
        batch.units, of: rank, count: sentences.count, batch.input.layout, columns: batch.input.order.columns)
      return batch
    }
  }

  private func weights(_ test: Case) throws -> PackedParameters {
    let weights = try PackedParameters(
      test.architecture.layout, .best, precision: test.precision, needsBackward: true)
    test.architecture.initialize(weights.store, .uniform(range: 0.5), seed: 2)
    weights.pack()
    return weights
  }

  private static let lengths = [4, 1, 6, 3, 6, 2]

  @Test(arguments: cases) func everyParameterAgreesWithCentralDifferences(_ test: Case) throws {
    let (architecture, weights) = (test.architecture, try weights(test))
    let plan = BatchPlan(lengths: Array(repeating: 6, count: 6), sequences: 6, shards: 3)
    let model = try Tagger(architecture, weights, plan, rank: 0)
    func pass(_ corpus: Corpus) throws -> [Double] {
      let batch = corpus.batch(plan, rank: 0)
      var nats = [Double](repeating: 0, count: batch.unitCount)
      try model.trainingPass(batch, observer: SettledWeights(), nats: &nats)
      return nats
    }
    // A longer and fuller batch first: what it leaves in the buffers must not be seen.
    _ = try pass(Corpus(lengths: [6, 6, 6, 6, 6, 6], vocabulary: test.vocabulary, seed: 4))
    let corpus = Corpus(lengths: Self.lengths, vocabulary: test.vocabulary, seed: 5)
    let loss = try pass(corpus).reduce(0, +)

    let masks = try corpus.sentences.indices.map { try self.masks(architecture, sentence: $0, corpus) }
    var twin = ReferenceTagger(weights.store, architecture)
    func expected(_ twin: ReferenceTagger) -> Double {
      corpus.sentences.indices.reduce(0) {
        $0
          + twin.loss(
            tokens: corpus.sentences[$1].tokens, labels: corpus.sentences[$1].labels, masks: masks[$1])
      }
    }
    #expect(abs(loss - expected(twin)) < 1e-6 * loss)
    for parameter in architecture.layout.parameters {
      let found = model.gradients[0].dense(parameter)
      let differences = found.indices.map { centralDifference(&twin, \.parameters[parameter.index][$0], of: expected) }
      #expect(largestError(found, differences) < 1e-5, "\(parameter.name)")
    }
  }

  /// One pass; returns the losses by shard.
  private func trainingPass(_ model: Tagger, _ batch: Batch<Sentences>) throws -> [Double] {
    var nats = [Double](repeating: 0, count: batch.unitCount)
    try model.trainingPass(batch, observer: SettledWeights(), nats: &nats)
    return batch.shardSums(nats)
  }

  /// What dropout multiplies the values of one sentence by.
  private func masks(_ architecture: TaggerArchitecture, sentence: Int, _ corpus: Corpus) throws -> [[Double]] {
    guard let dropout = architecture.dropout else { return [] }
    let steps = corpus.sentences[sentence].tokens.count
    let sizes = [architecture.table.columns] + architecture.cells.map(\.outputSize)
    return try sizes.enumerated().map { connection, columns in
      try withScratch { scratch in
        let ones = try scratch.zeros(steps, columns)
        ones.fill(1)
        let key = SequenceKey(draw: 3, sequence: UInt32(100 + sentence))
        let layout = TimeMajorRows(steps: steps, sequences: 1)
        dropout.naive(ones, into: ones, layout, keys: [key], connection: connection)
        return ones.values.map { Double($0) }
      }
    }
  }

  /// Two sentences of which the second is the longer, so that it stands first in the batch.
  @Test func entitiesAreCountedSentenceBySentence() {
    let batch = Batch(
      Sentences(capacity: 5), units: BatchPlan(lengths: [2, 3], sequences: 2, shards: 2).rowLists(of: 0))
    let expected: [[Int32]] = [[0, 1], [0, 1, 1]]
    batch.input.fill(lengths: [2, 3]) { (0, expected[$0][$1]) }
    let plan = BatchPlan(lengths: [2, 3], sequences: 2, shards: 2)
    plan.list(batch.units, of: 0, count: 2, batch.input.layout, columns: batch.input.order.columns)
    var measure = TaggingMeasure(labels: ["B-X", "I-X", "O"])
    // In the order of the units: first the one sentence, then the other.
    measure.add([0, 1, 0, 1, 2], of: batch)
    #expect(measure.counts == [5, 4, 1, 2, 2])
    #expect(measure.scores.accuracy == 0.8 && measure.scores.f1 == 0.5)
    #expect(measure.scores.precision == 0.5 && measure.scores.recall == 0.5)
    var plain = TaggingMeasure(labels: ["A", "B", "C"])
    plain.add([0, 1, 0, 1, 2], of: batch)
    #expect(plain.scores.accuracy == 0.8 && plain.scores.f1 == nil)
  }

  @Test(arguments: cases, [Self.lengths, [5], []]) func anyNumberOfWorkersGivesTheSameBits(
    _ test: Case, lengths: [Int]
  ) throws {
    let weights = try weights(test)
    let corpus = Corpus(lengths: lengths, vocabulary: test.vocabulary, seed: 5)
    /// The gradients by addend, summed along the tree, and the losses.
    func outcome(workers: Int) throws -> [[UInt64]] {
      let plan = BatchPlan(lengths: Array(repeating: 6, count: 6), sequences: 6, shards: 5, workers: workers)
      var gradients: [ShardTree.Node: [[Float]]] = [:]
      var losses: [Double] = []
      for rank in 0..<workers {
        let model = try Tagger(test.architecture, weights, plan, rank: rank)
        // What an earlier batch leaves must not be seen: shards of this one may be empty.
        let earlier = Corpus(lengths: [6, 2, 6, 6, 4, 6], vocabulary: test.vocabulary, seed: 9)
        _ = try trainingPass(model, earlier.batch(plan, rank: rank))
        losses += try trainingPass(model, corpus.batch(plan, rank: rank))
        for gradient in model.gradients { gradients[gradient.node] = gradient.denseAddends }
      }
      func sum(_ node: ShardTree.Node, _ addend: Int) -> [Float] {
        if let known = gradients[node] { return known[addend] }
        let (left, right) = plan.tree.children(of: node)
        let values = sum(left, addend)
        return right.map { zip(values, sum($0, addend)).map { $0 + $1 } } ?? values
      }
      let addends = gradients.first?.value.indices ?? 0..<0
      return addends.map { sum(plan.tree.root, $0).map { UInt64($0.bitPattern) } }
        + [losses.map(\.bitPattern)]
    }
    let alone = try outcome(workers: 1)
    #expect(alone.joined().contains { $0 != 0 } == !lengths.isEmpty)
    for workers in 2...5 {
      let same = try outcome(workers: workers) == alone
      #expect(same, "\(workers) workers")
    }
  }

  @Test(arguments: cases) func aScorerGivesTheLossesAndTheMostProbableLabels(_ test: Case) throws {
    let (architecture, weights) = (test.architecture, try weights(test))
    let corpus = Corpus(lengths: Self.lengths, vocabulary: test.vocabulary, seed: 5)
    let plan = BatchPlan(lengths: Array(repeating: 6, count: 6), sequences: 6, shards: 6)
    let scorer = try TaggerScorer(architecture, weights, plan, rank: 0)
    let batch = corpus.batch(plan, rank: 0)
    var nats = [Double](repeating: 0, count: batch.unitCount)
    var answers = [Int32](repeating: -1, count: batch.unitCount)
    try scorer.predict(batch, nats: &nats, answers: &answers)
    let twin = ReferenceTagger(weights.store, architecture)
    let logits = corpus.sentences.flatMap { twin.logits(tokens: $0.tokens) }
    let best = logits.map { row in row.indices.max { row[$0] < row[$1] } ?? 0 }
    if !test.hasChain { #expect(answers.map(Int.init) == best) }
    let sums = batch.shardSums(nats)
    for (sentence, sum) in zip(corpus.sentences, sums) {
      #expect(abs(sum - twin.loss(tokens: sentence.tokens, labels: sentence.labels)) < 1e-5)
    }
    var again = [Double](repeating: 0, count: batch.unitCount)
    try scorer.score(batch, nats: &again)
    #expect(again == nats)
  }
}
