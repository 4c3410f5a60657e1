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

  @Test(arguments: [1, 2], [TrainingConfiguration.Exchange.tree, .allreduce])
  func theReportIsSane(workers: Int, exchange: TrainingConfiguration.Exchange) throws {
    let size = size(exchange)
    let reports = try onWorkers(workers) { try Benchmark(size, arithmetic: .best, steps: 5, warmup: 1).run($0) }
    for report in reports {
      #expect(report.gflops > 0 && report.ceilingGflops > 0)
      #expect((0...1.5).contains(report.ceilingShare) && report.ceilingShare > 0)
      #expect(report.millisecondsPerStepMinimum > 0)
      #expect(report.millisecondsPerStepMinimum <= report.millisecondsPerStep)
      #expect(report.millisecondsPerStep <= report.millisecondsPerStepMaximum)
      #expect(abs(report.tokensPerSecond * report.millisecondsPerStep / 1e3 - 80) < 1e-6)
      #expect(report.phases.values.allSatisfy { $0 > 0 && $0 <= report.millisecondsPerStepMaximum })
      #expect(report.peakMemoryBytes > 1 << 20)
      #expect(report.steps == 5 && report.workers == workers)
      #expect(report.parameters == 12_800 + 4 * (4 * 64 * 64) + 4 * 256 + 12_800 + 200)
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
