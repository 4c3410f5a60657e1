import Arena
import Configuration
import Corpus
import Failures
import Kernels
import Optimizers
import Recurrent
import Testing
import Training
import Workers

@Suite struct GradientExchangeTests {
  /// What a worker knows after some steps.
  private struct Outcome: Equatable {
    var weights: [Float]
    var outcomes: [StepOutcome]
    var slotFloats: Int
    /// Whether the first layer's gradients were summed by token.
    var sumsByToken: Bool

    static func == (left: Outcome, right: Outcome) -> Bool {
      left.weights.map(\.bitPattern) == right.weights.map(\.bitPattern) && left.outcomes == right.outcomes
    }
  }

  /// Five blocks of parameters, so that up to four workers all own some.
  private static func shape(tied: Bool, vocabulary: Int = 150) -> ModelShape {
    ModelShape(cell: .lstm, vocabularySize: vocabulary, embeddingSize: 64, hiddenSize: 64, layers: 2, tied: tied)
  }

  private static func run(
    _ group: any WorkerGroup, tied: Bool, method: TrainingConfiguration.Exchange = .tree, shards: Int = 7,
    vocabulary: Int = 150, optimizer: OptimizerKind = .sgd(momentum: 0.9), clipNorm: Double = 0.05, steps: Int = 4
  ) throws -> Outcome {
    let (model, exchange, window, streams) = try setUp(
      group, tied: tied, method: method, shards: shards, vocabulary: vocabulary, optimizer)
    var outcomes: [StepOutcome] = []
    for step in 0..<steps {
      window.steps = streams.steps(inWindow: step)
      try streams.read(window: step, inputs: window.inputs, targets: window.targets)
      try model.trainingPass(window, step: step)
      outcomes.append(
        try exchange.step(
          scale: 1 / Double(streams.tokens(inWindow: step)), clipNorm: clipNorm, learningRate: 0.5, check: { _ in }))
    }
    // Another worker must not change shared weights before this one has read them.
    try group.barrier()
    return Outcome(
      weights: Array(model.weights.parameters.values.buffer), outcomes: outcomes,
      slotFloats: exchange.optimizer.slots.reduce(0) { $0 + $1.count },
      sumsByToken: model.inputRows.backward < window.rows)
  }

  static func setUp(
    _ group: any WorkerGroup, tied: Bool, method: TrainingConfiguration.Exchange, shards: Int,
    vocabulary: Int = 150, _ optimizer: OptimizerKind
  ) throws -> (LanguageModel, GradientExchange, Window, TokenStreams) {
    let shape = shape(tied: tied, vocabulary: vocabulary)
    let (weights, isShared) = try ModelWeights.shared(
      by: group, shape, .best, training: true, apart: method == .allreduce
    ) {
      Initialization.uniform(range: 0.2).fill($0, shape: shape, seed: 5)
    }
    let batch = LocalBatch(window: 6, streams: 9, shards: shards, rank: group.rank, workers: group.count)
    var random = RandomStream(seed: 8, stream: 8)
    // Each window has a few tokens of its own, so that embedding rows come and go from step to step.
    let tokens = (0..<9 * 24 + 1).map { position in
      let window = position % 24 / 6
      return Int32((window * 35 + Int(random.nextUnit() * 35)) % vocabulary)
    }
    let streams = try TokenStreams(
      source: InMemoryTokens(tokens), streams: 9, local: batch.streams, window: 6, remainder: .kept)
    let model = try LanguageModel(weights, batch: batch, training: true)
    let exchange = try GradientExchange(
      group, model: model, optimizer: optimizer, weightDecay: 0, method: method, sharesWeights: isShared)
    return (model, exchange, Window(steps: 6, streams: batch.streams.count), streams)
  }

  @Test(arguments: [(false, 150), (true, 150), (false, 3), (true, 3)], [4, 7])
  func anyNumberOfWorkersGivesTheSameBits(_ model: (tied: Bool, vocabulary: Int), shards: Int) throws {
    let (tied, vocabulary) = model
    func run(workers: Int) throws -> [Outcome] {
      try onWorkers(workers) { try Self.run($0, tied: tied, shards: shards, vocabulary: vocabulary) }
    }
    let single = try #require(try run(workers: 1).first)
    #expect(single.sumsByToken == (vocabulary == 3))
    // The clip must be at work for the comparison to cover it.
    #expect(single.outcomes.allSatisfy { $0.gradientNorm > 0.05 && $0.lossSum > 0 })
    for workers in 2...4 {
      for outcome in try run(workers: workers) {
        #expect(outcome == single, "\(workers) workers")
      }
    }
  }

  @Test func shardsMatterToTheLastBits() throws {
    // Else the test above would hold for sums in any order.
    let (few, many) = try (
      onWorkers(1) { try Self.run($0, tied: false, shards: 4) },
      onWorkers(1) { try Self.run($0, tied: false, shards: 7) }
    )
    #expect(few != many)
  }

  @Test(arguments: [false, true], 1...4)
  func allreduceGivesNearlyTheSameWeights(tied: Bool, workers: Int) throws {
    let tree = try #require(try onWorkers(1) { try Self.run($0, tied: tied, clipNorm: 0) }.first)
    let start = try #require(try onWorkers(1) { try Self.run($0, tied: tied, steps: 0) }.first)
    let moved = zip(tree.weights, start.weights).map { abs($0 - $1) }.max() ?? 0
    for outcome in try onWorkers(workers, { try Self.run($0, tied: tied, method: .allreduce, clipNorm: 0) }) {
      let difference = zip(tree.weights, outcome.weights).map { abs($0 - $1) }.max() ?? .infinity
      #expect(difference < 1e-5 * moved + 1e-6, "moved by \(moved)")
      for (mine, theirs) in zip(outcome.outcomes, tree.outcomes) {
        #expect(abs(mine.gradientNorm / theirs.gradientNorm - 1) < 1e-4)
        #expect(abs(mine.lossSum / theirs.lossSum - 1) < 1e-5)
      }
    }
  }

  @Test(arguments: 1...4)
  func slotsAreSharedOut(workers: Int) throws {
    let count = Self.shape(tied: false).layout.count
    let outcomes = try onWorkers(workers) {
      try Self.run($0, tied: false, optimizer: .adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8), steps: 0)
    }
    #expect(outcomes.reduce(0) { $0 + $1.slotFloats } == 2 * count)
    // About the same for each: within a block of the norm.
    for outcome in outcomes { #expect(abs(outcome.slotFloats - 2 * count / workers) <= 2 * GradientNorm.block) }
  }

  @Test(arguments: [TrainingConfiguration.Exchange.tree, .allreduce])
  func aFailingWorkerEndsTheStepOfAll(method: TrainingConfiguration.Exchange) throws {
    let errors = try onWorkers(3) { group -> WorkerFailure? in
      let (model, exchange, window, streams) = try Self.setUp(
        group, tied: false, method: method, shards: 7, .sgd(momentum: 0))
      try streams.read(window: 0, inputs: window.inputs, targets: window.targets)
      try model.trainingPass(window, step: 0)
      let before = Array(model.weights.parameters.values.buffer)
      let mine = group.rank > 0 ? Failure(.badData, "file \(group.rank) is torn") : nil
      defer { #expect(Array(model.weights.parameters.values.buffer) == before, "weights moved") }
      do {
        _ = try exchange.step(scale: 1, clipNorm: 0, learningRate: 1, failure: mine) { _ in
          Issue.record("the outcome of a failed step was handed on")
        }
        return nil
      } catch let failure as WorkerFailure {
        try group.barrier()
        return failure
      }
    }
    // All throw the same, which names both workers and is that of the first.
    let failure = try #require(errors[0])
    #expect(errors == [failure, failure, failure])
    #expect(failure.rank == 1 && failure.exitStatus == .badData && !failure.failedEverywhere)
    #expect(failure.description == "worker 1: file 1 is torn\nworker 2: file 2 is torn")
  }

  /// The weights stay, and the next step is the one that would have been taken first: nothing of the refused gradient,
  /// which met other tokens, is left.
  @Test(arguments: [TrainingConfiguration.Exchange.tree, .allreduce], [100, 150])
  func aRefusedOutcomeLeavesNothing(_ method: TrainingConfiguration.Exchange, vocabulary: Int) throws {
    struct Refusal: Error {}
    func weights(refusing: Bool) throws -> [[Float]] {
      try onWorkers(2) { group in
        let (model, exchange, window, streams) = try Self.setUp(
          group, tied: false, method: method, shards: 7, vocabulary: vocabulary, .sgd(momentum: 0))
        if refusing {
          try streams.read(window: 1, inputs: window.inputs, targets: window.targets)
          try model.trainingPass(window, step: 0)
          let before = Array(model.weights.parameters.values.buffer)
          #expect(throws: Refusal.self) {
            try exchange.step(scale: 1, clipNorm: 0, learningRate: 1) { _ in throw Refusal() }
          }
          try group.barrier()
          #expect(Array(model.weights.parameters.values.buffer) == before)
          model.resetStates()
        }
        try streams.read(window: 0, inputs: window.inputs, targets: window.targets)
        try model.trainingPass(window, step: 0)
        _ = try exchange.step(scale: 1, clipNorm: 0, learningRate: 1, check: { _ in })
        try group.barrier()
        return Array(model.weights.parameters.values.buffer)
      }
    }
    #expect(try weights(refusing: true) == weights(refusing: false))
  }
}
