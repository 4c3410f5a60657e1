import Configuration
import Corpus
import Exchange
import Failures
import Interfaces
import Kernels
import Models
import Optimizers
import Parameters
import Sharding
import TestSupport
import Testing
import Training
import Workers

@Suite struct GradientExchangeTests {
  /// What a worker knows after some steps.
  private struct Outcome {
    var weights: [Float]
    var outcomes: [StepOutcome]
    var slotFloats: Int
    /// Whether the first layer's gradients were summed by token.
    var sumsByToken: Bool

    /// Whether weights and outcomes have the same bits; each worker has slots and sums of its own.
    func hasTheBits(of other: Outcome) -> Bool {
      weights.map(\.bitPattern) == other.weights.map(\.bitPattern) && outcomes == other.outcomes
    }
  }

  /// Five blocks of parameters, so that up to four workers all own some.
  private static func architecture(tied: Bool, vocabulary: Int = 150) -> LanguageArchitecture {
    LanguageArchitecture(
      .init(cell: .lstm, vocabularySize: vocabulary, embeddingSize: 64, hiddenSize: 64, layers: 2, tied: tied))
  }

  private static func run(
    _ group: any WorkerGroup, tied: Bool, method: TrainingConfiguration.Exchange = .tree, shards: Int = 7,
    vocabulary: Int = 150, rule: UpdateRule = .sgd(momentum: 0.9), clipNorm: Double = 0.05, steps: Int = 4
  ) throws -> Outcome {
    let setting = try Setting(group, tied: tied, method: method, shards: shards, vocabulary: vocabulary, rule)
    let outcomes = try (0..<steps).map { try setting.step($0, clipNorm: clipNorm) }
    // Another worker must not change shared weights before this one has read them.
    try group.barrier()
    return Outcome(
      weights: Array(setting.replica.weights.store.values.buffer), outcomes: outcomes,
      slotFloats: setting.replica.exchange.optimizer.slots.reduce(0) { $0 + $1.count },
      sumsByToken: setting.replica.model.inputRows.backward < setting.batch.input.layout.count)
  }

  /// A replica and its batches.
  struct Setting {
    let replica: Replica<Window>
    let source: StreamBatches
    let batch: Batch<Window>

    init(
      _ group: any WorkerGroup, tied: Bool, method: TrainingConfiguration.Exchange, shards: Int,
      vocabulary: Int = 150, _ rule: UpdateRule
    ) throws {
      let architecture = architecture(tied: tied, vocabulary: vocabulary)
      let plan = BatchPlan(window: 6, sequences: 9, shards: shards, workers: group.count)
      var random = RandomStream(seed: 8, stream: 8)
      // Each window has a few tokens of its own, so that embedding rows come and go from step to step.
      let tokens = (0..<9 * 24 + 1).map { position in
        let window = position % 24 / 6
        return Int32((window * 35 + Int(random.nextUnit() * 35)) % vocabulary)
      }
      let streams = try TokenStreams(
        source: InMemoryTokens(tokens), streams: 9, local: plan.sequences(of: group.rank), window: 6,
        remainder: .kept)
      source = StreamBatches(streams, plan, rank: group.rank)
      batch = source.makeBatch()
      replica = try Replica(
        group, architecture, plan, .best, precision: .f32, TrainingMethod(exchange: method, rule)
      ) {
        architecture.initialize($0, .uniform(range: 0.2), seed: 5)
      }
    }

    func pass(_ index: Int, step: Int? = nil) -> Result<[Double], any Error> {
      replica.pass(batch) {
        try source.fill(batch, at: BatchPosition(epoch: 0, index: index, step: step ?? index))
      }
    }

    func step(_ index: Int, clipNorm: Double) throws -> StepOutcome {
      let losses = pass(index)
      let update = Update(
        scale: 1 / Double(source.targets(epoch: 0, index: index)), clipNorm: clipNorm, learningRate: 0.5)
      return try replica.exchange.complete(update, losses: losses) { $0.isFinite }
    }
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
        #expect(outcome.hasTheBits(of: single), "\(workers) workers")
      }
    }
  }

  @Test func shardsMatterToTheLastBits() throws {
    // Else the test above would hold for sums in any order.
    let (few, many) = try (
      onWorkers(1) { try Self.run($0, tied: false, shards: 4) },
      onWorkers(1) { try Self.run($0, tied: false, shards: 7) }
    )
    #expect(!few[0].hasTheBits(of: many[0]))
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
    let count = Self.architecture(tied: false).layout.count
    let outcomes = try onWorkers(workers) {
      try Self.run($0, tied: false, rule: .adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8), steps: 0)
    }
    #expect(outcomes.reduce(0) { $0 + $1.slotFloats } == 2 * count)
    // About the same for each: within a block of the norm.
    for outcome in outcomes { #expect(abs(outcome.slotFloats - 2 * count / workers) <= 2 * Ownership.block) }
  }

  @Test(arguments: [TrainingConfiguration.Exchange.tree, .allreduce])
  func aFailingWorkerEndsTheStepOfAll(method: TrainingConfiguration.Exchange) throws {
    let errors = try onWorkers(3) { group -> WorkerFailure? in
      let setting = try Setting(group, tied: false, method: method, shards: 7, .sgd(momentum: 0))
      var losses = setting.pass(0)
      let weights = setting.replica.weights.store.values.buffer
      let before = Array(weights)
      if group.rank > 0 { losses = .failure(Failure(.badData, "file \(group.rank) is torn")) }
      defer { #expect(Array(weights) == before, "weights moved") }
      do {
        let update = Update(scale: 1, clipNorm: 0, learningRate: 1)
        _ = try setting.replica.exchange.complete(update, losses: losses) { _ in
          Issue.record("the outcome of a failed step was handed on")
          return false
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
        let setting = try Setting(
          group, tied: false, method: method, shards: 7, vocabulary: vocabulary, .sgd(momentum: 0))
        let (replica, update) = (setting.replica, Update(scale: 1, clipNorm: 0, learningRate: 1))
        if refusing {
          let losses = setting.pass(1, step: 0)
          let before = Array(replica.weights.store.values.buffer)
          #expect(throws: Refusal.self) {
            try replica.exchange.complete(update, losses: losses) { _ in throw Refusal() }
          }
          try group.barrier()
          #expect(Array(replica.weights.store.values.buffer) == before)
          replica.resetStates()
        }
        _ = try replica.exchange.complete(update, losses: setting.pass(0)) { _ in true }
        try group.barrier()
        return Array(replica.weights.store.values.buffer)
      }
    }
    #expect(try weights(refusing: true) == weights(refusing: false))
  }
}
