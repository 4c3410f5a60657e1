import Interfaces
import Kernels
import Layers
import Models
import NumericSupport
import Parameters
import Sharding
import Testing

/// Computing once, in the first layer, what positions of one token share.
@Suite struct InputTokensTests {
  static let precisions = Precision.allCases.filter(Arithmetic.best.computes(in:))

  private func architecture(
    _ cell: Cell, vocabulary: Int, layers: Int = 1, dropout: Double = 0
  ) -> LanguageArchitecture {
    LanguageArchitecture(
      .init(cell: cell, vocabularySize: vocabulary, embeddingSize: 9, hiddenSize: 33, layers: layers),
      dropout: dropout > 0 ? Dropout(probability: dropout, seed: 1) : nil)
  }

  @Test(arguments: allCells, precisions)
  func forwardHasTheBitsOfARowForEachPosition(cell: Cell, precision: Precision) throws {
    // One token, a few, as many as still pay, and more, in a full window and a short one.
    for (vocabulary, steps, once) in [(1, 8, true), (5, 8, true), (30, 8, true), (200, 8, false), (5, 1, true)] {
      let architecture = architecture(cell, vocabulary: vocabulary)
      let weights = try randomWeights(architecture, precision: precision)
      let (streams, rows) = (7, 7 * steps)
      let window = GlobalWindow(steps: steps, streams: streams, vocabularySize: vocabulary, seed: 2)
      let model = try ScoredModel(architecture, weights, BatchPlan(window: 8, sequences: streams, shards: 3))
      let (input, parameters) = (DenseInput(architecture.cells[0], weights, Workspace()), architecture.cells[0][0])
      let plain = try ForwardLayer(
        parameters, weights, input: input, rows: 8 * streams, sequences: streams, Workspace())
      let pass = Pass(TimeMajorRows(steps: steps, sequences: streams), keys: [], observer: SettledWeights())
      try withScratch { scratch in
        let x = try scratch.zeros(rows, 9)
        let table = weights.matrix(architecture.table)
        for row in 0..<rows {
          for column in 0..<9 { x[row, column] = table[Int(window.tokens[row]), column] }
        }
        input.x = x
        // Twice: the list of a window must leave nothing behind for the next.
        for _ in 0..<2 {
          try model.pass(window.local(0..<streams))
          _ = try plain.forward(pass)
          plain.cells[0].carry(pass)
          let same = model.scorer.carried[0].values.bits == plain.cells[0].hidden.initial(streams).bits
          #expect(same, "\(vocabulary) tokens, \(steps) steps")
        }
      }
      #expect(model.scorer.inputRows == (once ? Set(window.tokens).count : rows))
    }
  }

  struct Setting: Sendable, CustomTestStringConvertible {
    let vocabulary: Int
    var streams = 8
    var shards = 4
    var dropout = 0.0
    let sumsByToken: Bool

    var testDescription: String {
      "V=\(vocabulary), \(streams) streams in \(shards) shards, dropout \(dropout): \(sumsByToken)"
    }
  }

  @Test(arguments: [
    // 16 rows a shard; then 18, where shards are uneven.
    Setting(vocabulary: 8, sumsByToken: true), Setting(vocabulary: 9, sumsByToken: false),
    Setting(vocabulary: 9, streams: 9, sumsByToken: true), Setting(vocabulary: 10, streams: 9, sumsByToken: false),
    Setting(vocabulary: 8, shards: 5, sumsByToken: false), Setting(vocabulary: 32, shards: 1, sumsByToken: true),
    Setting(vocabulary: 2, dropout: 0.1, sumsByToken: false),
  ])
  func theConfigurationDecidesAboutTheGradients(_ setting: Setting) throws {
    let architecture = architecture(.lstm, vocabulary: setting.vocabulary, dropout: setting.dropout)
    let weights = try randomWeights(architecture)
    for workers in 1...setting.shards {
      for rank in 0..<workers {
        let plan = BatchPlan(window: 8, sequences: setting.streams, shards: setting.shards, workers: workers)
        let model = try TrainedModel(architecture, weights, plan, rank: rank)
        // Neither a text of one token nor a short window changes the decision.
        for steps in [8, 3] {
          let window = Window(steps: steps, streams: plan.sequences(of: rank).count)
          try model.pass(window, step: 0)
          let expected = setting.sumsByToken ? plan.shards(of: rank).count : window.layout.count
          #expect(model.model.inputRows.backward == expected)
        }
      }
    }
  }

  @Test func dropoutNeedsARowForEachPosition() throws {
    let architecture = architecture(.lstm, vocabulary: 3, dropout: 0.1)
    let weights = try randomWeights(architecture)
    let plan = BatchPlan(window: 8, sequences: 4, shards: 2)
    let (trained, scored) = try (
      TrainedModel(architecture, weights, plan), ScoredModel(architecture, weights, plan)
    )
    let window = Window(steps: 8, streams: 4)
    try trained.pass(window, step: 0)
    #expect(trained.model.inputRows == InputRows(forward: 32, backward: 32))
    try scored.pass(window)
    #expect(scored.scorer.inputRows == 1)
  }

  @Test(arguments: allCells, precisions)
  func distinctTokensHaveTheGradientsOfPositions(cell: Cell, precision: Precision) throws {
    // One step in which no shard has a token twice: a model that was made for this one step takes the positions, and
    // one that was made for many steps takes the tokens, which here are the same rows.
    let (streams, shards, vocabulary) = (12, 4, 6)
    let architecture = architecture(cell, vocabulary: vocabulary, layers: 2)
    let weights = try randomWeights(architecture, precision: precision)
    func gradients(window: Int) throws -> (bits: [UInt32], rows: Int) {
      let plan = BatchPlan(window: window, sequences: streams, shards: shards)
      let model = try TrainedModel(architecture, weights, plan)
      // What a long window leaves in the buffers must not be seen.
      if window > 1 {
        let long = GlobalWindow(steps: window, streams: streams, vocabularySize: vocabulary, seed: 4)
        try model.pass(long.local(0..<streams), step: 0)
        model.resetStates()
      }
      let step = Window(steps: 1, streams: streams)
      for stream in 0..<streams {
        step.tokens[stream] = Int32((stream % 3 * 2 + stream / 3) % vocabulary)
        step.targets[stream] = Int32(stream % vocabulary)
      }
      try model.pass(step, step: 1)
      return (
        model.model.gradients[0].denseAddends.flatMap { $0.map(\.bitPattern) }, model.model.inputRows.backward
      )
    }
    let (positions, tokens) = try (gradients(window: 1), gradients(window: 8))
    #expect(positions.rows == 12 && tokens.rows == 12)
    let same = positions.bits == tokens.bits
    #expect(same)
  }

  // Not with relu: values that round across its kink change gradients by more than their rounding.
  @Test(.enabled(if: Arithmetic.best.computes(in: .bf16)), arguments: allCells.filter { $0 != .elman(.relu) })
  func roundedOperandsGiveNearlyTheSameGradients(cell: Cell) throws {
    let (streams, vocabulary) = (10, 5)
    let window = GlobalWindow(steps: 6, streams: streams, vocabularySize: vocabulary, seed: 2)
    let architecture = architecture(cell, vocabulary: vocabulary)
    func model(_ precision: Precision) throws -> TrainedModel {
      let weights = try randomWeights(architecture, range: 0.3, precision: precision)
      let model = try TrainedModel(architecture, weights, BatchPlan(window: 6, sequences: streams, shards: 4))
      try model.pass(window.local(0..<streams), step: 0)
      #expect(model.model.inputRows.backward < window.tokens.count)
      return model
    }
    let (exact, rounded) = try (model(.f32), model(.bf16))
    let layer = architecture.cells[0][0]
    for parameter in [architecture.table, layer.inputWeight, layer.hiddenWeight, layer.inputBias, layer.hiddenBias] {
      let error = largestError(rounded.gradient(parameter), exact.gradient(parameter))
      #expect(error > 0 && error < 0.02, "\(parameter.name)")
    }
  }
}
