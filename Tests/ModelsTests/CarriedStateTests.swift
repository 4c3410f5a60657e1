import Interfaces
import Kernels
import Layers
import Models
import NumericSupport
import Parameters
import ReferenceModels
import Sharding
import Testing

/// States that go from window to window.
@Suite struct CarriedStateTests {
  private func architecture(_ cell: Cell, dropout: Dropout? = nil) -> LanguageArchitecture {
    LanguageArchitecture(
      .init(cell: cell, vocabularySize: 19, embeddingSize: 8, hiddenSize: 33, layers: 2), dropout: dropout)
  }

  @Test(arguments: allCells) func twoWindowsEqualOneOfTwiceTheLength(_ cell: Cell) throws {
    let architecture = architecture(cell)
    let weights = try randomWeights(architecture)
    let window = GlobalWindow(steps: 8, streams: 3, vocabularySize: 19, seed: 2)
    func model() throws -> ScoredModel {
      try ScoredModel(architecture, weights, BatchPlan(window: 8, sequences: 3, shards: 3))
    }
    let long = try model()
    try long.pass(window.local(0..<3))
    let short = try model()
    try short.pass(window.local(0..<3, steps: 0..<4))
    let firstHalf = Array(short.shardLosses)
    try short.pass(window.local(0..<3, steps: 4..<8))
    for shard in 0..<3 {
      let total = firstHalf[shard] + short.shardLosses[shard]
      #expect(abs(total - long.shardLosses[shard]) < 1e-12 * total)
    }
    #expect(bits(short.scorer.carried) == bits(long.scorer.carried))

    var twin = ReferenceModel(weights.store, architecture, streams: 3)
    let expected = twin.loss(inputs: window.tokens, targets: window.targets)
    #expect(abs(long.shardLosses.reduce(0, +) - expected) < 1e-6 * expected)
    for (layer, expected) in twin.states.enumerated() {
      #expect(largestError(long.scorer.carried[layer].values.values, expected.hidden.flatMap { $0 }) < 2e-6)
    }
  }

  @Test(arguments: allCells) func trainingAndEvaluationSeeTheSameLossAndStates(_ cell: Cell) throws {
    let architecture = architecture(cell)
    let weights = try randomWeights(architecture)
    let window = GlobalWindow(steps: 4, streams: 5, vocabularySize: 19, seed: 2)
    let plan = BatchPlan(window: 4, sequences: 5, shards: 2)
    let training = try TrainedModel(architecture, weights, plan)
    let evaluation = try ScoredModel(architecture, weights, plan)
    // Twice, so that the second window starts from what the first one left.
    for step in 0..<2 {
      try training.pass(window.local(0..<5), step: step)
      try evaluation.pass(window.local(0..<5))
      #expect(training.shardLosses == evaluation.shardLosses)
    }
    #expect(bits(training.model.carried) == bits(evaluation.scorer.carried))
  }

  @Test func onlyTrainingDropsOut() throws {
    let dropping = architecture(.lstm, dropout: Dropout(probability: 0.5, seed: 1))
    let weights = try randomWeights(dropping)
    let window = GlobalWindow(steps: 4, streams: 2, vocabularySize: 19, seed: 2)
    let plan = BatchPlan(window: 4, sequences: 2, shards: 1)
    let plain = try ScoredModel(architecture(.lstm), weights, plan)
    let scored = try ScoredModel(dropping, weights, plan)
    let trained = try TrainedModel(dropping, weights, plan)
    try plain.pass(window.local(0..<2))
    try scored.pass(window.local(0..<2))
    try trained.pass(window.local(0..<2), step: 0)
    #expect(plain.shardLosses == scored.shardLosses)
    #expect(plain.shardLosses != trained.shardLosses)
  }

  @Test func resetStatesForgetsTheText() throws {
    let architecture = architecture(.lstm)
    let weights = try randomWeights(architecture)
    let window = GlobalWindow(steps: 4, streams: 2, vocabularySize: 19, seed: 2)
    let model = try ScoredModel(architecture, weights, BatchPlan(window: 4, sequences: 2, shards: 2))
    try model.pass(window.local(0..<2))
    let fresh = model.shardLosses
    try model.pass(window.local(0..<2))
    #expect(model.shardLosses != fresh)
    model.scorer.resetStates()
    try model.pass(window.local(0..<2))
    #expect(model.shardLosses == fresh)
  }

  @Test func restoredStatesContinueToTheBit() throws {
    let architecture = architecture(.lstm)
    let weights = try randomWeights(architecture)
    let window = GlobalWindow(steps: 4, streams: 2, vocabularySize: 19, seed: 2)
    func model() throws -> ScoredModel {
      try ScoredModel(architecture, weights, BatchPlan(window: 4, sequences: 2, shards: 2))
    }
    let undisturbed = try model()
    try undisturbed.pass(window.local(0..<2))
    let resumed = try model()
    for (from, to) in zip(undisturbed.scorer.carried, resumed.scorer.carried) { to.values.update(from: from.values) }
    try undisturbed.pass(window.local(0..<2))
    try resumed.pass(window.local(0..<2))
    #expect(undisturbed.shardLosses == resumed.shardLosses)
  }

  @Test func aDecoderGivesTheLogitsOfTheNextToken() throws {
    let architecture = architecture(.lstm)
    let weights = try randomWeights(architecture)
    var window = GlobalWindow(steps: 3, streams: 2, vocabularySize: 19, seed: 2)
    for row in 0..<4 { window.targets[row] = -1 }
    let model = try ScoredModel(architecture, weights, BatchPlan(window: 3, sequences: 2, shards: 2))
    try model.pass(window.local(0..<2))
    let losses = model.shardLosses
    let decoder = try LanguageScorer(architecture, weights, BatchPlan(window: 1, sequences: 2, shards: 2), rank: 0)
    var logits = MatrixView.empty
    for step in 0..<3 { logits = try decoder.advance(Array(window.tokens[(2 * step)..<(2 * step + 2)])) }
    try withScratch { scratch in
      let zeroBias = try scratch.zeros(1, 19)
      var found = [0.0, 0.0]
      Softmax.naiveGradient(
        try scratch.copy(logits), bias: zeroBias.pointer, targets: Array(window.targets[4...]), losses: &found)
      for stream in 0..<2 { #expect(abs(found[stream] - losses[stream]) < 1e-5) }
    }
  }
}
