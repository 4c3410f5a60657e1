import Configuration
import Foundation
import Interfaces
import Layers
import Models
import TestSupport
import Testing
import Training

@Suite struct BenchmarkTests {
  private func size(_ exchange: TrainingConfiguration.Exchange) -> Benchmark.Size {
    let shape = LanguageArchitecture.Shape(
      cell: .lstm, vocabularySize: 200, embeddingSize: 64, hiddenSize: 64, layers: 2)
    var size = Benchmark.Size(shape: shape, streams: 8, window: 10, gradientShards: 4)
    size.exchange = exchange
    return size
  }

  /// The figures of a report follow from one another, and those that a clock or the system gives are in their bounds.
  @Test(arguments: [1, 2], [TrainingConfiguration.Exchange.tree, .allreduce])
  func theFiguresOfAReportAgree(workers: Int, exchange: TrainingConfiguration.Exchange) throws {
    let size = size(exchange)
    let reports = try onWorkers(workers) { try Benchmark(size, arithmetic: .best, steps: 5, warmup: 1).run($0) }
    #expect(reports.count == workers)
    for report in reports {
      let tokens = 8 * 10
      #expect(abs(report.tokensPerSecond * report.millisecondsPerStep / 1e3 - Double(tokens)) < 1e-6)
      #expect(report.ceilingShare == report.gflops / report.ceilingGflops)
      // A core makes no more than two multiply-adds of 16 floats in a cycle, at up to 6 GHz, and a step less than that.
      #expect((0.5..<(400 * Double(workers))).contains(report.ceilingGflops) && (0..<1.1).contains(report.ceilingShare))
      // Each position takes the products of both layers and the decoder three times over; tokens that occur again save
      // some of the first layer's.
      let products = 6.0 * Double(tokens * (3 * 4 * 64 * 64 + 64 * 200))
      let operations = report.gflops * report.millisecondsPerStep * 1e6
      #expect(operations > 0.95 * products && operations < products + 6 * Double(tokens * 4 * 64 * 64))
      #expect(report.millisecondsPerStepMinimum > 0)
      #expect(report.millisecondsPerStepMinimum <= report.millisecondsPerStep)
      #expect(report.millisecondsPerStep <= report.millisecondsPerStepMaximum)
      // Medians of the parts of a step, which make it up.
      let phases = report.phases.values.reduce(0, +)
      #expect(phases > 0.7 * report.millisecondsPerStepMinimum && phases < 1.3 * report.millisecondsPerStepMaximum)
      #expect(report.phases.values.allSatisfy { $0 > 0 })
      #expect(report.parameters == 12_800 + 4 * (4 * 64 * 64) + 4 * 256 + 12_800 + 200)
      // Weights, their packed forms and the gradients are in it.
      #expect(report.peakMemoryBytes > 3 * 4 * report.parameters)
      #expect(report.steps == 5 && report.workers == workers)
    }
  }

  @Test(arguments: [1, 3]) func operationsAreThoseThatRan(workers: Int) throws {
    let shape = LanguageArchitecture.Shape(cell: .lstm, vocabularySize: 4, embeddingSize: 24, hiddenSize: 16, layers: 2)
    let size = Benchmark.Size(shape: shape, streams: 8, window: 64, gradientShards: 4)
    let report = try #require(
      try onWorkers(workers) { try Benchmark(size, arithmetic: .best, steps: 3, warmup: 1).run($0) }.first)
    // 512 rows for the hidden states of two layers, the second's input and the decoder; for the embedding each worker
    // multiplies the four tokens forward, and those of each shard on the way back. Nothing leads back from the first
    // time step to the states of 8 streams in two layers.
    let truncated = 2 * 64 * 16 * 8 * 2
    let operations = 6 * 512 * (64 * 16 * 3 + 4 * 16) + 2 * 64 * 24 * (workers * 4 + 2 * 4 * 4) - truncated
    #expect(abs(report.gflops * report.millisecondsPerStep * 1e6 / Double(operations) - 1) < 1e-9)
  }

  /// Rows of the recurrent matrix, and those that lead from the first time step to the states, which is left out.
  @Test(arguments: [(Cell.lstm, 12, 12), (.gru(.after), 9, 9), (.gru(.before), 9, 6), (.elman(.tanh), 3, 3)])
  func operationsOfEachCell(_ cell: Cell, rows: Int, leftOut: Int) {
    let architecture = LanguageArchitecture(
      .init(cell: cell, vocabularySize: 7, embeddingSize: 5, hiddenSize: 3, layers: 1))
    let multiplyAdds = 3 * 20 * 7 * 3 + (20 + 2 * 11) * rows * 5 + 3 * 20 * rows * 3 - 4 * leftOut * 3
    let operations = architecture.operationsPerStep(tokens: 20, streams: 4, forwardRows: 20, backwardRows: 11)
    #expect(operations == Double(2 * multiplyAdds))
  }

  @Test func theKeysAreThoseOfTheManual() throws {
    let size = size(.tree)
    let report = try #require(
      try onWorkers(1) { try Benchmark(size, arithmetic: .best, steps: 2, warmup: 0).run($0) }.first)
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    let object = try #require(JSONSerialization.jsonObject(with: encoder.encode(report)) as? [String: Any])
    for key in [
      "milliseconds_per_step", "tokens_per_second", "gflops", "ceiling_gflops", "ceiling_share", "peak_memory_bytes",
    ] {
      #expect(object[key] is NSNumber, "\(key)")
    }
    let phases = try #require(object["phases"] as? [String: Double])
    #expect(Set(phases.keys) == Set(Phase.allCases.map(\.rawValue)))
    // The parts of a step add up to it; both are medians of few steps.
    let whole = try #require(object["milliseconds_per_step"] as? Double)
    #expect(abs(phases.values.reduce(0, +) - whole) < whole / 2)
  }
}
