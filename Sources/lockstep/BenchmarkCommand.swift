import ArgumentParser
import Configuration
import Failures
import Files
import Foundation
import Interfaces
import Kernels
import Layers
import Models
import Training
import Workers

struct BenchmarkCommand: WorkerCommand {
  static let configuration = CommandConfiguration(
    commandName: "benchmark",
    abstract: "Time training steps on this machine, against the ceiling of its multiply-add units.",
    discussion: """
      Random tokens, SGD, clipping at 5, no dropout. GFLOP/s counts the matrix products of a step (two operations per \
      multiply-add); the ceiling is what one core does with multiply-adds on registers, measured between the steps of \
      the same run, times the workers. Runs under mpirun as well.
      """)

  @Option(
    help: "A size by name: S, M, L (Zaremba et al. 2014), C (characters), W (WikiText-2); other options override.")
  var size: SizeName = .medium
  @Option(help: "Recurrent layers.") var layers: Int?
  @Option(help: "Units in each layer.") var hidden: Int?
  @Option(help: "Length of an embedding vector. (default: as --hidden)") var embedding: Int?
  @Option(help: "Tokens in the vocabulary.") var vocabulary: Int?
  @Option(help: "Streams in the batch, over all workers.") var streams: Int?
  @Option(help: "Time steps in a window.") var window: Int?
  @Option(help: "lstm, gru or elman.") var cell: Cell.Family = .lstm
  @Option(help: ArgumentHelp("Number of worker threads. (default: 1)", valueName: "n")) var workers: Int?
  @Option(name: .customLong("gradient-shards"), help: "Gradient shards. (default: 8, or --streams if that is less)")
  var gradientShards: Int?
  @Option(help: "f32 or bf16.") var precision: Precision = .f32
  @Option(help: "tree or allreduce.") var exchange: TrainingConfiguration.Exchange = .tree
  @Option(help: "Timed steps.") var steps: Int = 20
  @Option(help: "Warm-up steps, not timed.") var warmup: Int = 3
  @OptionGroup var kernels: KernelOptions
  @OptionGroup var memory: MemoryOptions
  @Flag(help: "Print one JSON object.") var json = false

  enum SizeName: String, CaseIterable, ExpressibleByArgument {
    case small = "S"
    case medium = "M"
    case large = "L"
    case characters = "C"
    case wikiText = "W"
  }

  func run() throws {
    let size = try checkedSize()
    let arithmetic = try kernels.arithmetic()
    try arithmetic.check(size.precision, at: "--precision")
    let (json, steps, warmup) = (json, steps, warmup)
    let fingerprint = Fingerprint(
      command: "benchmark", arithmetic,
      options: size.settings + [("--steps", "\(steps)"), ("--warmup", "\(warmup)")] + memory.settings)
    try WorkerLaunch.run(threads: workers, sharedMemory: !memory.apart, fingerprint: fingerprint) { group in
      try group.agreeing {
        guard group.count > size.gradientShards else { return }
        throw Failure(
          .usage, "\(group.count) workers can't share \(size.gradientShards) gradient shards", at: "--gradient-shards",
          remedy: "give --gradient-shards \(group.count) or more")
      }
      let report = try Benchmark(size, arithmetic: arithmetic, steps: steps, warmup: warmup).run(group)
      try group.onFirst { if json { try printJSON(report) } else { try Self.show(report) } }
    }
  }

  private func checkedSize() throws -> Benchmark.Size {
    func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws {
      guard !range.contains(value) else { return }
      throw Failure(
        .usage, "\(value) is out of range", at: "--\(name)", remedy: "give \(range.lowerBound) to \(range.upperBound)")
    }
    guard let named = Benchmark.namedSizes.first(where: { $0.name == self.size.rawValue })?.size else {
      preconditionFailure("a size without figures")
    }
    let layers = layers ?? named.shape.layers
    let embedding = embedding ?? hidden ?? named.shape.embeddingSize
    let hidden = hidden ?? named.shape.hiddenSize
    let vocabulary = vocabulary ?? named.shape.vocabularySize
    let streams = streams ?? named.streams
    let window = window ?? named.window
    let shards = gradientShards ?? min(8, streams)
    try check("layers", layers, 1...256)
    try check("hidden", hidden, 1...65_536)
    try check("embedding", embedding, 1...65_536)
    try check("vocabulary", vocabulary, 1...16_777_216)
    try check("streams", streams, 1...1_000_000)
    try check("window", window, 1...min(100_000, RunConfiguration.mostPositions / streams))
    try check("gradient-shards", shards, 1...streams)
    try check("steps", steps, 1...1_000_000)
    try check("warmup", warmup, 0...1_000_000)
    let kind: Cell =
      switch cell {
      case .lstm: .lstm
      case .gru: .gru(.after)
      case .elman: .elman(.tanh)
      }
    let shape = LanguageArchitecture.Shape(
      cell: kind, vocabularySize: vocabulary, embeddingSize: embedding, hiddenSize: hidden, layers: layers)
    var size = Benchmark.Size(shape: shape, streams: streams, window: window, gradientShards: shards)
    size.precision = precision
    size.exchange = exchange
    return size
  }

  private static func show(_ report: Benchmark.Report) throws {
    try StandardOutput.print(
      "\(report.layers) × \(report.hidden), embedding \(report.embedding), vocabulary \(grouped(report.vocabulary)), "
        + "\(report.streams) streams × \(report.window) steps, \(report.workers) "
        + "worker\(report.workers == 1 ? "" : "s"), \(report.gradientShards) gradient shards, \(report.precision), \(report.instructionSet)"
    )
    try StandardOutput.print(
      "  step       \(fixed(report.millisecondsPerStep, 2)) ms (\(fixed(report.millisecondsPerStepMinimum, 2)) to "
        + "\(fixed(report.millisecondsPerStepMaximum, 2)), median of \(report.steps))")
    try StandardOutput.print("  tokens/s   \(grouped(Int(report.tokensPerSecond)))")
    try StandardOutput.print("  GFLOP/s    \(fixed(report.gflops, 1))")
    try StandardOutput.print(
      "  ceiling    \(fixed(report.ceilingGflops, 1)) GFLOP/s, of which \(fixed(report.ceilingShare * 100, 1)) %")
    try StandardOutput.print("  memory     \(readable(bytes: report.peakMemoryBytes)) at most")
    for phase in Phase.allCases {
      let milliseconds = report.phases[phase.rawValue] ?? 0
      let name = phase.rawValue.replacing("_", with: " ").padding(toLength: 20, withPad: " ", startingAt: 0)
      let share = fixed(100 * milliseconds / report.millisecondsPerStep, 1)
      try StandardOutput.print("    \(name) \(fixed(milliseconds, 2)) ms, \(share) %")
    }
  }
}

extension Precision: ExpressibleByArgument {}
extension Cell.Family: ExpressibleByArgument {}
extension TrainingConfiguration.Exchange: ExpressibleByArgument {}

extension Benchmark.Size {
  /// The settings that all ranks must have in common.
  fileprivate var settings: [(name: String, value: String)] {
    [
      ("--cell", "\(shape.cell)"), ("--layers", "\(shape.layers)"), ("--hidden", "\(shape.hiddenSize)"),
      ("--embedding", "\(shape.embeddingSize)"), ("--vocabulary", "\(shape.vocabularySize)"),
      ("--streams", "\(streams)"), ("--window", "\(window)"), ("--gradient-shards", "\(gradientShards)"),
      ("--precision", precision.rawValue), ("--exchange", exchange.rawValue),
    ]
  }
}
