import Arena
import Kernels
import NumericSupport
import Recurrent
import Testing

/// States that go from window to window.
@Suite struct CarriedStateTests {
  private func shape(_ cell: Cell) -> ModelShape {
    ModelShape(cell: cell, vocabularySize: 19, embeddingSize: 8, hiddenSize: 33, layers: 2)
  }

  private func states(_ model: LanguageModel) -> [String: [UInt32]] {
    Dictionary(uniqueKeysWithValues: model.states.map { ($0.name, $0.values.map(\.bitPattern)) })
  }

  @Test(arguments: allCells) func twoWindowsEqualOneOfTwiceTheLength(_ cell: Cell) throws {
    let weights = try randomWeights(shape(cell))
    let window = GlobalWindow(steps: 8, streams: 3, vocabularySize: 19, seed: 2)
    func model() throws -> LanguageModel {
      try LanguageModel(weights, batch: LocalBatch(window: 8, streams: 3, shards: 3), training: false)
    }
    let long = try model()
    try long.evaluationPass(window.local(0..<3))
    let short = try model()
    try short.evaluationPass(window.local(0..<3, steps: 0..<4))
    let firstHalf = Array(short.shardLosses)
    try short.evaluationPass(window.local(0..<3, steps: 4..<8))
    for shard in 0..<3 {
      let total = firstHalf[shard] + short.shardLosses[shard]
      #expect(abs(total - long.shardLosses[shard]) < 1e-12 * total)
    }
    #expect(states(short) == states(long))

    var twin = ReferenceModel(weights.parameters, shape: shape(cell), streams: 3)
    let expected = twin.loss(inputs: window.inputs, targets: window.targets)
    #expect(abs(long.shardLosses.reduce(0, +) - expected) < 1e-6 * expected)
    for (layer, expected) in twin.states.enumerated() {
      #expect(largestError(long.layers[layer].hidden.initial, expected.hidden.flatMap { $0 }) < 2e-6)
    }
  }

  @Test(arguments: allCells) func trainingAndEvaluationSeeTheSameLossAndStates(_ cell: Cell) throws {
    let weights = try randomWeights(shape(cell))
    let window = GlobalWindow(steps: 4, streams: 5, vocabularySize: 19, seed: 2)
    let batch = LocalBatch(window: 4, streams: 5, shards: 2)
    let training = try LanguageModel(weights, batch: batch, training: true)
    let evaluation = try LanguageModel(weights, batch: batch, training: false)
    // Twice, so that the second window starts from what the first one left.
    for step in 0..<2 {
      try training.trainingPass(window.local(0..<5), step: step)
      try evaluation.evaluationPass(window.local(0..<5))
      #expect(Array(training.shardLosses) == Array(evaluation.shardLosses))
    }
    #expect(states(training) == states(evaluation))
  }

  @Test func evaluationDropsNothing() throws {
    let weights = try randomWeights(shape(.lstm))
    let window = GlobalWindow(steps: 4, streams: 2, vocabularySize: 19, seed: 2)
    let batch = LocalBatch(window: 4, streams: 2, shards: 1)
    let plain = try LanguageModel(weights, batch: batch, training: true)
    let dropping = try LanguageModel(
      weights, batch: batch, dropout: Dropout(probability: 0.5, seed: 1), training: true)
    try plain.evaluationPass(window.local(0..<2))
    try dropping.evaluationPass(window.local(0..<2))
    #expect(plain.shardLosses[0] == dropping.shardLosses[0])
    dropping.resetStates()
    try dropping.trainingPass(window.local(0..<2), step: 0)
    #expect(plain.shardLosses[0] != dropping.shardLosses[0])
  }

  @Test func resetStatesForgetsTheText() throws {
    let weights = try randomWeights(shape(.lstm))
    let window = GlobalWindow(steps: 4, streams: 2, vocabularySize: 19, seed: 2)
    let model = try LanguageModel(weights, batch: LocalBatch(window: 4, streams: 2, shards: 2), training: false)
    try model.evaluationPass(window.local(0..<2))
    let fresh = Array(model.shardLosses)
    try model.evaluationPass(window.local(0..<2))
    #expect(Array(model.shardLosses) != fresh)
    model.resetStates()
    try model.evaluationPass(window.local(0..<2))
    #expect(Array(model.shardLosses) == fresh)
  }

  @Test func restoredStatesContinueToTheBit() throws {
    let weights = try randomWeights(shape(.lstm))
    let window = GlobalWindow(steps: 4, streams: 2, vocabularySize: 19, seed: 2)
    func model() throws -> LanguageModel {
      try LanguageModel(weights, batch: LocalBatch(window: 4, streams: 2, shards: 2), training: false)
    }
    let undisturbed = try model()
    try undisturbed.evaluationPass(window.local(0..<2))
    let resumed = try model()
    for (from, to) in zip(undisturbed.states, resumed.states) { _ = to.values.update(from: from.values) }
    try undisturbed.evaluationPass(window.local(0..<2))
    try resumed.evaluationPass(window.local(0..<2))
    #expect(Array(undisturbed.shardLosses) == Array(resumed.shardLosses))
  }

  @Test func lastLogitsPredictTheNextToken() throws {
    let weights = try randomWeights(shape(.lstm))
    var window = GlobalWindow(steps: 3, streams: 2, vocabularySize: 19, seed: 2)
    for row in 0..<4 { window.targets[row] = -1 }
    let batch = LocalBatch(window: 3, streams: 2, shards: 2)
    let model = try LanguageModel(weights, batch: batch, training: false)
    try model.evaluationPass(window.local(0..<2))
    let losses = Array(model.shardLosses)
    model.resetStates()
    let logits = try model.lastLogits(window.local(0..<2))
    try withScratch { scratch in
      let zeroBias = try scratch.zeros(1, 19)
      var found = [0.0, 0.0]
      Softmax.naiveGradient(
        try scratch.copy(logits), bias: zeroBias.pointer, targets: Array(window.targets[4...]), losses: &found)
      for stream in 0..<2 { #expect(abs(found[stream] - losses[stream]) < 1e-5) }
    }
  }
}
