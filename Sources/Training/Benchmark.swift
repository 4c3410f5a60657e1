import Configuration
import Corpus
import Exchange
import Failures
import Foundation
import Interfaces
import Kernels
import Models
import Optimizers
import Parameters
import Sharding
import Workers

/// Times whole training steps (forward, backward, exchange and update) on random tokens, with the code of training.
package struct Benchmark: Sendable {
  /// The model and batch to time.
  package struct Size: Sendable, Equatable {
    package var shape: LanguageArchitecture.Shape
    /// B, over all workers.
    package var streams: Int
    /// T, in time steps.
    package var window: Int
    package var gradientShards: Int
    package var exchange = TrainingConfiguration.Exchange.tree
    package var precision = Precision.f32

    package init(shape: LanguageArchitecture.Shape, streams: Int, window: Int, gradientShards: Int) {
      (self.shape, self.streams, self.window, self.gradientShards) = (shape, streams, window, gradientShards)
    }
  }

  /// The standard sizes: small, medium and large of Zaremba et al. 2014, a character model, and WikiText-2 as in Merity
  /// et
  /// al. 2018 (AWD-LSTM).
  package static let namedSizes: [(name: String, size: Size)] = [
    named("S", layers: 2, hidden: 200, vocabulary: 10_000, streams: 20, window: 20),
    named("M", layers: 2, hidden: 650, vocabulary: 10_000, streams: 20, window: 35),
    named("L", layers: 2, hidden: 1500, vocabulary: 10_000, streams: 20, window: 35),
    named("C", layers: 3, hidden: 512, vocabulary: 128, streams: 64, window: 64),
    named("W", layers: 3, hidden: 1150, embedding: 400, vocabulary: 33_278, streams: 40, window: 70),
  ]

  private static func named(
    _ name: String, layers: Int, hidden: Int, embedding: Int? = nil, vocabulary: Int, streams: Int, window: Int
  ) -> (name: String, size: Size) {
    let shape = LanguageArchitecture.Shape(
      cell: .lstm, vocabularySize: vocabulary, embeddingSize: embedding ?? hidden, hiddenSize: hidden, layers: layers)
    return (name, Size(shape: shape, streams: streams, window: window, gradientShards: min(8, streams)))
  }

  /// The measurements; its members are the keys of `--json`.
  package struct Report: Sendable, Encodable {
    package var millisecondsPerStep: Double
    package var millisecondsPerStepMinimum: Double
    package var millisecondsPerStepMaximum: Double
    package var tokensPerSecond: Double
    package var gflops: Double
    package var ceilingGflops: Double
    package var ceilingShare: Double
    package var peakMemoryBytes: Int
    /// The first worker's milliseconds per step by ``Phase``.
    package var phases: [String: Double]
    package var precision: String
    package var parameters: Int
    package var steps: Int
    package var workers: Int
    package var instructionSet: String
    package var layers: Int
    package var hidden: Int
    package var embedding: Int
    package var vocabulary: Int
    package var streams: Int
    package var window: Int
    package var gradientShards: Int
  }

  package let size: Size
  package let arithmetic: Arithmetic
  package let steps: Int
  package let warmup: Int

  package init(_ size: Size, arithmetic: Arithmetic, steps: Int, warmup: Int) {
    (self.size, self.arithmetic, self.steps, self.warmup) = (size, arithmetic, steps, warmup)
  }

  /// Runs the steps; collective. All workers get the same report, except for the memory, which is that of each process.
  package func run(_ group: any WorkerGroup) throws -> Report {
    let architecture = LanguageArchitecture(size.shape)
    let plan = BatchPlan(
      window: size.window, sequences: size.streams, shards: size.gradientShards, workers: group.count)
    let source = try group.agreeing {
      let tokens = RandomTokens(
        count: size.streams * size.window * max(1, min(steps + warmup, 16)) + 1,
        vocabularySize: size.shape.vocabularySize)
      let streams = try TokenStreams(
        source: tokens, streams: size.streams, local: plan.sequences(of: group.rank), window: size.window,
        remainder: .kept)
      return StreamBatches(streams, plan, rank: group.rank)
    }
    let replica = try Replica(
      group, architecture, plan, arithmetic, precision: size.precision,
      TrainingMethod(exchange: size.exchange, .sgd(momentum: 0))
    ) {
      architecture.initialize($0, .uniform(range: 0.1), seed: 1)
    }
    let batch = source.makeBatch()

    let timer = PhaseTimer()
    replica.workspace.timer = timer

    // The ceiling is measured between steps throughout the run: on a shared machine it varies, and the share is
    // meaningful
    // only if steps and ceiling are measured at the same time.
    let clock = ContinuousClock()
    var times: [Double] = []
    var ceilings: [Double] = []
    var phases: [[Phase: Double]] = []
    var inputRows = InputRows()
    for index in 0..<(warmup + steps) {
      try group.barrier()
      _ = timer.take()
      let start = clock.now
      let losses = replica.pass(batch) {
        try source.fill(batch, at: BatchPosition(epoch: 0, index: index % source.batchesPerEpoch, step: index))
      }
      let update = Update(scale: 1 / Double(size.streams * size.window), clipNorm: 5, learningRate: 1)
      _ = try replica.exchange.complete(update, losses: losses) { _ in true }
      let end = clock.now
      guard index >= warmup else { continue }
      phases.append(timer.take())
      inputRows.forward += replica.model.inputRows.forward
      inputRows.backward += replica.model.inputRows.backward
      times.append((end - start) / .seconds(1))
      try group.barrier()
      ceilings.append(Self.measureCeiling(size.precision, arithmetic))
    }
    var totals = [median(ceilings), Double(inputRows.forward), Double(inputRows.backward)]
    try totals.withUnsafeMutableBufferPointer { try group.allReduceSum($0) }
    let operations = architecture.operationsPerStep(
      tokens: size.streams * size.window, streams: size.streams, forwardRows: totals[1] / Double(times.count),
      backwardRows: totals[2] / Double(times.count))
    return report(
      times: times, operations: operations, ceiling: totals[0], phases: phases, workers: group.count,
      architecture.layout)
  }

  /// Measures this core's peak rate of independent multiply-adds over about a millisecond, in GFLOP/s.
  package static func measureCeiling(_ precision: Precision, _ arithmetic: Arithmetic) -> Double {
    let clock = ContinuousClock()
    let start = clock.now
    let operations = arithmetic.burnMultiplyAdds(precision, iterations: 400_000)
    return operations / ((clock.now - start) / .seconds(1)) / 1e9
  }

  private func report(
    times: [Double], operations: Double, ceiling: Double, phases: [[Phase: Double]], workers: Int,
    _ layout: ParameterLayout
  ) -> Report {
    let seconds = median(times)
    let tokens = size.streams * size.window
    let gflops = operations / seconds / 1e9
    return Report(
      millisecondsPerStep: seconds * 1e3, millisecondsPerStepMinimum: (times.min() ?? 0) * 1e3,
      millisecondsPerStepMaximum: (times.max() ?? 0) * 1e3, tokensPerSecond: Double(tokens) / seconds, gflops: gflops,
      ceilingGflops: ceiling, ceilingShare: gflops / ceiling, peakMemoryBytes: peakMemory(),
      phases: Dictionary(
        uniqueKeysWithValues: Phase.allCases.map { phase in
          (phase.rawValue, median(phases.map { $0[phase] ?? 0 }) * 1e3)
        }),
      precision: size.precision.rawValue, parameters: layout.parameters.reduce(0) { $0 + $1.count },
      steps: times.count,
      workers: workers, instructionSet: arithmetic.instructionSet.name, layers: size.shape.layers,
      hidden: size.shape.hiddenSize, embedding: size.shape.embeddingSize, vocabulary: size.shape.vocabularySize,
      streams: size.streams, window: size.window, gradientShards: size.gradientShards)
  }

  /// The peak resident memory of this process in bytes.
  private func peakMemory() -> Int {
    var usage = rusage()
    // ru_maxrss is in KiB.
    guard getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
    return usage.ru_maxrss * 1024
  }
}

private func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  guard !sorted.isEmpty else { return 0 }
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/// Random tokens, each a function of its position.
private struct RandomTokens: TokenSource {
  let count: Int
  let vocabularySize: Int

  func read(_ range: Range<Int>, into ids: UnsafeMutableBufferPointer<Int32>) {
    for (index, position) in range.enumerated() {
      let place = UInt64(position)
      let word = RandomStream.philox(
        (UInt32(truncatingIfNeeded: place), UInt32(truncatingIfNeeded: place >> 32), 1, 0), key: (1, 0)
      ).0
      ids[index] = Int32((UInt64(word) * UInt64(vocabularySize)) >> 32)
    }
  }
}
