import Interfaces
import Kernels
import Layers
import Models
import NumericSupport
import Parameters
import ReferenceModels
import Sharding
import Testing

/// Loss and gradients of the whole model against central differences of its twin in `Double`.
@Suite struct ModelGradientTests {
  struct Case: CustomTestStringConvertible, Sendable {
    let cell: Cell
    var layers = 2
    var tied = false
    var dropout = 0.0
    var chunkRows: Int?
    var vocabulary = 11

    var testDescription: String {
      "\(cell) layers=\(layers) V=\(vocabulary) tied=\(tied) dropout=\(dropout) chunk=\(chunkRows.map { "\($0)" } ?? "default")"
    }
  }

  static let cases =
    allCells.flatMap { [Case(cell: $0), Case(cell: $0, tied: true, dropout: 0.4, chunkRows: 2)] }
    // So few tokens that the first layer's gradients are summed by token.
    + allCells.flatMap { [Case(cell: $0, vocabulary: 3), Case(cell: $0, layers: 1, tied: true, vocabulary: 3)] }
    + [
      Case(cell: .lstm, layers: 3, dropout: 0.5, chunkRows: 1), Case(cell: .gru(.before), layers: 1, tied: true),
      Case(cell: .gru(.after), layers: 3, chunkRows: 3),
    ]

  @Test(arguments: cases) func everyParameterAgreesWithCentralDifferences(_ test: Case) throws {
    let (vocabulary, hidden, streams, shards, step) = (test.vocabulary, 7, 4, 3, 5)
    let dropout = test.dropout > 0 ? Dropout(probability: test.dropout, seed: 7) : nil
    let architecture = LanguageArchitecture(
      .init(
        cell: test.cell, vocabularySize: vocabulary, embeddingSize: test.tied ? hidden : 5, hiddenSize: hidden,
        layers: test.layers, tied: test.tied), dropout: dropout)
    let weights = try randomWeights(architecture)
    let plan = BatchPlan(window: 5, sequences: streams, shards: shards)
    let model = try TrainedModel(
      architecture, weights, plan, chunkFloats: test.chunkRows.map { $0 * vocabulary })

    // A full window first: the checked one starts from states that are not zero.
    let first = GlobalWindow(steps: 5, streams: streams, vocabularySize: vocabulary, seed: 3)
    var second = GlobalWindow(steps: 3, streams: streams, vocabularySize: vocabulary, seed: 4)
    second.endStreams(from: 2)
    try model.pass(first.local(0..<streams), step: step - 1)
    try model.pass(second.local(0..<streams), step: step)
    #expect((model.model.inputRows.backward < second.tokens.prefix(3 * streams).count) == (vocabulary == 3))

    func masks(steps: Int, step: Int) throws -> [[Double]] {
      guard let dropout else { return [] }
      let keys = (0..<streams).map { SequenceKey(draw: UInt64(step), sequence: UInt32($0)) }
      return try (0...test.layers).map {
        try mask(dropout, connection: $0, rows: steps * streams, architecture.shape, keys)
      }
    }
    var twin = ReferenceModel(weights.store, architecture, streams: streams)
    _ = twin.loss(inputs: first.tokens, targets: first.targets, masks: try masks(steps: 5, step: step - 1))
    let secondMasks = try masks(steps: 3, step: step)
    func loss(_ twin: ReferenceModel) -> Double {
      var moving = twin
      return moving.loss(inputs: second.tokens, targets: second.targets, masks: secondMasks)
    }

    let expectedLoss = loss(twin)
    #expect(abs(model.shardLosses.reduce(0, +) - expectedLoss) < 1e-6 * expectedLoss)
    for parameter in architecture.layout.parameters {
      let found = model.gradient(parameter)
      let expected = found.indices.map { centralDifference(&twin, \.parameters[parameter.index][$0], of: loss) }
      #expect(largestError(found, expected) < 1e-5, "\(parameter.name)")
    }
  }

  /// What dropout multiplies the values of a connection by, in the order of a window's rows.
  private func mask(
    _ dropout: Dropout, connection: Int, rows: Int, _ shape: LanguageArchitecture.Shape, _ keys: [SequenceKey]
  ) throws -> [Double] {
    try withScratch { scratch in
      let ones = try scratch.zeros(rows, connection == 0 ? shape.embeddingSize : shape.hiddenSize)
      ones.fill(1)
      let layout = TimeMajorRows(steps: rows / keys.count, sequences: keys.count)
      dropout.naive(ones, into: ones, layout, keys: keys, connection: connection)
      return ones.values.map { Double($0) }
    }
  }
}
