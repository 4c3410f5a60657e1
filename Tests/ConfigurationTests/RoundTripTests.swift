import Configuration
import Failures
import Interfaces
import Kernels
import Layers
import Optimizers
import TestSupport
import Testing

@Suite struct RoundTripTests {
  /// Whatever configuration is in effect, its YAML reads back as an equal one.
  @Test func renderingReadsBack() throws {
    var generator = SeededGenerator(seed: 1)
    for _ in 0..<300 {
      let configuration = try randomConfiguration(&generator)
      let text = configuration.yaml
      #expect(try load(text) == configuration, "\(text)")
      #expect(try load(text).yaml == text)
    }
  }

  @Test func renderingHoldsTheDefaultsInEffectAndNothingElse() throws {
    #expect(
      try load(minimal, "training.steps=7", "data.corpus=a b").yaml == """
        model:
          cell: lstm
          layers: 2
          hidden_size: 8
          embedding_size: 8
          tie_weights: false
          dropout: 0.0
          forget_bias: 0.0
          initialization: uniform
          initial_range: 0.1
        data:
          corpus: "a b"
          streams: 20
          window: 35
          last_window: drop
        optimizer:
          name: sgd
          learning_rate: 0.001
          momentum: 0.0
          weight_decay: 0.0
        schedule:
          name: constant
        training:
          steps: 7
          loss_reduction: token_mean
          clip_norm: 0.0
          gradient_shards: 8
          exchange: tree
          precision: f32
          seed: 1
          on_nonfinite: stop
          verify_every: 0
          validate_every: 0
          checkpoint_every: 0
          log_every: 100
          stall_timeout: 0.0
        run:
          directory: runs/test
          keep: 3

        """)
  }

  private func randomConfiguration(_ generator: inout SeededGenerator) throws -> RunConfiguration {
    let sizes = [1, 7, 8, 33]
    let paths = [
      "x", "a/b", "null", "/~", "a: b", "#", "it's \"so\"", "tab\tnewline\n", "söhne/中文", "\u{7F}\u{85}\u{FEFF}", "12",
      "[", "-", " ", "\\", "🙂", "a/-",
    ]
    // Normal numbers: a thread of this process that has computed takes others for zero.
    let positive = [0x1p-1022, 1e-10, 0.1, 1.0 / 3, 1, 2.5, 1e22, .greatestFiniteMagnitude]
    let fractions = [0, 0x1p-1022, 0.1, 1.0 / 3, 0.9999999999999999]
    func pick<Value>(_ values: [Value]) -> Value { values.randomElement(using: &generator)! }

    let (cell, optimizer, schedule) = (
      pick(Cell.Family.allCases), pick(UpdateRule.Name.allCases),
      pick(ScheduleConfiguration.Name.allCases)
    )
    let initialization = pick(Initialization.Name.allCases)
    var configuration = try load(
      minimal, "model.cell=\(cell)", "optimizer.name=\(optimizer)", "schedule.name=\(schedule.rawValue)",
      "model.initialization=\(initialization)")
    configuration.model.layers = pick(sizes)
    configuration.model.hiddenSize = pick(sizes)
    configuration.model.embeddingSize = pick(sizes)
    configuration.model.tieWeights = configuration.model.embeddingSize == configuration.model.hiddenSize
    configuration.model.dropout = pick(fractions)
    configuration.model.initialParameters = pick(paths.map(Optional.some) + [nil])
    if cell == .lstm { configuration.model.forgetBias = -pick(positive) }
    if cell == .gru { configuration.model.reset = .before }
    if cell == .elman { configuration.model.activation = pick(Activation.allCases) }
    if initialization == .uniform { configuration.model.initialRange = pick(positive) }
    configuration.data = try load(minimal, "data.streams=\(pick(sizes))", "data.window=\(pick(sizes))").data
    configuration.data.corpus = pick(paths)
    configuration.optimizer.learningRate = pick(positive)
    if optimizer == .sgd { configuration.optimizer.momentum = pick(fractions) }
    if optimizer == .adam { configuration.optimizer.beta2 = pick(fractions) }
    if optimizer == .rmsprop { configuration.optimizer.alpha = pick(fractions) }
    if optimizer != .sgd { configuration.optimizer.epsilon = pick(positive) }
    if schedule == .stepDecay { configuration.schedule.afterEpoch = pick(sizes) }
    if schedule == .plateau { configuration.schedule.patience = pick(sizes) }
    if schedule == .cosine { configuration.schedule.totalSteps = pick(sizes.map(Optional.some) + [nil]) }
    if pick([true, false]) {
      (configuration.training.epochs, configuration.training.steps) = (nil, pick(sizes))
    }
    configuration.training.lossReduction = pick(TrainingConfiguration.LossReduction.allCases)
    configuration.training.clipNorm = pick(positive)
    configuration.training.gradientShards = min(configuration.data.streams, pick(sizes))
    configuration.training.seed = pick([0, 1, .max])
    configuration.run.directory = pick(paths)
    try configuration.validate()
    return configuration
  }
}
