import Arena
import Kernels
import NumericSupport
import Recurrent
import Testing

/// Computing once, in the first layer, what positions of one token share.
@Suite struct InputTokensTests {
  static let precisions = Precision.allCases.filter(Arithmetic.best.computes(in:))

  private func shape(_ cell: Cell, vocabulary: Int, layers: Int = 1) -> ModelShape {
    ModelShape(cell: cell, vocabularySize: vocabulary, embeddingSize: 9, hiddenSize: 33, layers: layers)
  }

  @Test(arguments: allCells, precisions)
  func forwardHasTheBitsOfARowForEachPosition(cell: Cell, precision: Precision) throws {
    // One token, a few, as many as still pay, and more, in a full window and a short one.
    for (vocabulary, steps, once) in [(1, 8, true), (5, 8, true), (30, 8, true), (200, 8, false), (5, 1, true)] {
      let shape = shape(cell, vocabulary: vocabulary)
      let weights = try randomWeights(shape, precision: precision)
      let (streams, rows) = (7, 7 * steps)
      let window = GlobalWindow(steps: steps, streams: streams, vocabularySize: vocabulary, seed: 2)
      let batch = LocalBatch(window: 8, streams: streams, shards: 3)
      let model = try LanguageModel(weights, batch: batch, training: false)
      let plain = try makeLayer(0, of: weights, window: 8, streams: streams)
      try withScratch { scratch in
        let x = try scratch.zeros(rows, 9)
        let encoder = weights.parameters.matrix("encoder.weight")
        for row in 0..<rows {
          for column in 0..<9 { x[row, column] = encoder[Int(window.inputs[row]), column] }
        }
        // Twice: the list of a window must leave nothing behind for the next.
        for _ in 0..<2 {
          try model.evaluationPass(window.local(0..<streams))
          _ = try plain.forward(x, steps: steps)
          let same = model.layers[0].hidden.after(steps: steps).bits == plain.hidden.after(steps: steps).bits
          #expect(same, "\(vocabulary) tokens, \(steps) steps")
          plain.carry(steps: steps)
        }
      }
      #expect(model.inputRows.forward == (once ? Set(window.inputs).count : rows))
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
    let weights = try randomWeights(shape(.lstm, vocabulary: setting.vocabulary))
    for workers in 1...setting.shards {
      for rank in 0..<workers {
        let batch = LocalBatch(
          window: 8, streams: setting.streams, shards: setting.shards, rank: rank, workers: workers)
        let model = try LanguageModel(
          weights, batch: batch, dropout: Dropout(probability: setting.dropout, seed: 1), training: true)
        // Neither a text of one token nor a short window changes the decision.
        for steps in [8, 3] {
          let window = Window(steps: steps, streams: batch.streams.count)
          try model.trainingPass(window, step: 0)
          #expect(model.inputRows.backward == (setting.sumsByToken ? batch.shards.count : window.rows))
        }
      }
    }
  }

  @Test func dropoutNeedsARowForEachPosition() throws {
    let weights = try randomWeights(shape(.lstm, vocabulary: 3))
    let model = try LanguageModel(
      weights, batch: LocalBatch(window: 8, streams: 4, shards: 2), dropout: Dropout(probability: 0.1, seed: 1),
      training: true)
    let window = Window(steps: 8, streams: 4)
    try model.trainingPass(window, step: 0)
    #expect(model.inputRows == (32, 32))
    try model.evaluationPass(window)
    #expect(model.inputRows.forward == 1)
  }

  @Test(arguments: allCells, precisions)
  func distinctTokensHaveTheGradientsOfPositions(cell: Cell, precision: Precision) throws {
    // One step in which no shard has a token twice: a model that was made for this one step takes the positions, and
    // one that was made for many steps takes the tokens, which here are the same rows.
    let (streams, shards, vocabulary) = (12, 4, 6)
    let weights = try randomWeights(shape(cell, vocabulary: vocabulary, layers: 2), precision: precision)
    func gradients(window: Int) throws -> (bits: [UInt32], rows: Int) {
      let batch = LocalBatch(window: window, streams: streams, shards: shards)
      let model = try LanguageModel(weights, batch: batch, training: true)
      // What a long window leaves in the buffers must not be seen.
      if window > 1 {
        let long = GlobalWindow(steps: window, streams: streams, vocabularySize: vocabulary, seed: 4)
        try model.trainingPass(long.local(0..<streams), step: 0)
        model.resetStates()
      }
      let step = Window(steps: 1, streams: streams)
      for stream in 0..<streams {
        step.inputs[stream] = Int32((stream % 3 * 2 + stream / 3) % vocabulary)
        step.targets[stream] = Int32(stream % vocabulary)
      }
      try model.trainingPass(step, step: 1)
      return (model.gradients[0].store.values.buffer.map(\.bitPattern), model.inputRows.backward)
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
    func gradients(_ precision: Precision) throws -> (ParameterStore, LanguageModel) {
      let weights = try randomWeights(shape(cell, vocabulary: vocabulary), range: 0.3, precision: precision)
      let model = try LanguageModel(
        weights, batch: LocalBatch(window: 6, streams: streams, shards: 4), training: true)
      try model.trainingPass(window.local(0..<streams), step: 0)
      #expect(model.inputRows.backward < window.inputs.count)
      return (model.gradients[0].store, model)
    }
    let ((exact, first), (rounded, second)) = try (gradients(.f32), gradients(.bf16))
    defer { withExtendedLifetime((first, second)) {} }
    for name in ["encoder.weight", "rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0"] {
      let error = largestError(rounded.floats(name), exact.floats(name))
      #expect(error > 0 && error < 0.02, "\(name)")
    }
  }
}
