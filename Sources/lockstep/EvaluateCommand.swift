import ArgumentParser
import Checkpoints
import Configuration
import Corpus
import Exchange
import Failures
import Files
import Interfaces
import Kernels
import Models
import Training
import Workers

extension Split: ExpressibleByArgument {}

struct EvaluateCommand: WorkerCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure a checkpoint's loss on a split of a corpus.",
    discussion: """
      The state is carried through the whole split and every prediction counts; the split's first token is predicted by \
      nothing. With --streams above 1 the split is cut into so many pieces that each start from a zero state: faster, \
      and a little pessimistic. Products are computed in the precision of the run, f32 or bf16. The number of \
      workers changes no bit.
      """)

  @Argument(help: "Checkpoint, or run directory (its latest).", completion: .file(), transform: PathName.expandingHome)
  var checkpoint: String

  @Option(help: "Corpus directory.", completion: .directory, transform: PathName.expandingHome)
  var corpus: String

  @Option(help: "Split: train, valid or test.")
  var split: Split = .test

  @Option(help: ArgumentHelp("Pieces that the split is cut into.", valueName: "n"))
  var streams: Int = 1

  @Option(help: ArgumentHelp("Threads that work together, at most one a stream. (default: 1)", valueName: "n"))
  var workers: Int?

  @OptionGroup var kernels: KernelOptions
  @OptionGroup var memory: MemoryOptions
  @OptionGroup var memoryLimit: MemoryLimitOption

  /// Time steps that are computed at once; states are carried on.
  private static let window = 64

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    if (try? Seal.isPresent(in: checkpoint, as: .nGramModel)) == true { return try evaluateNGrams() }
    let command = self
    let arithmetic = try kernels.arithmetic()
    let fingerprint = Fingerprint(
      command: "evaluate", arithmetic,
      options: [("--split", split.rawValue), ("--streams", "\(streams)"), ("--json", "\(json)")] + memory.settings)
    try WorkerLaunch.run(threads: workers, sharedMemory: !memory.apart, fingerprint: fingerprint) { group in
      try command.evaluate(group, arithmetic)
    }
  }

  private func evaluate(_ group: any WorkerGroup, _ arithmetic: Arithmetic) throws {
    try group.agreeing {
      guard streams >= 1 else {
        throw Failure(.usage, "\(streams) streams are too few", at: "--streams", remedy: "give 1 or more")
      }
      let most = RunConfiguration.mostPositions / Self.window
      guard streams <= most else {
        throw Failure(.usage, "\(streams) streams are too many", at: "--streams", remedy: "give at most \(most)")
      }
      guard group.count <= Evaluator.shards(streams: streams) else {
        throw Failure(
          .usage, "\(group.count) workers can't share \(streams == 1 ? "1 stream" : "\(streams) streams")",
          at: "--streams", remedy: "give at least one stream a worker, for example --streams \(group.count * 10)")
      }
    }
    let reader = try CheckpointReader.open(checkpoint, in: ".", by: group)
    let (corpus, saved) = try group.agreeing {
      let corpus = try CorpusReader(directory: self.corpus)
      try corpus.checkVocabulary(reader.vocabulary(), ofModel: reader.path)
      return (corpus, try reader.savedConfiguration())
    }
    try group.compare(corpus)
    let architecture = saved.languageArchitecture(vocabularySize: reader.header.vocabulary.count)
    let precision: Precision = saved.training.precision == .bf16 && arithmetic.computes(in: .bf16) ? .bf16 : .f32
    if group.rank == 0, saved.training.precision == .bf16, precision == .f32 {
      StandardErrorLog.logger.info(
        "the run computed in bf16, for which there are no instructions here: evaluated in f32")
    }
    let shards = Evaluator.shards(streams: streams)
    let own = try group.agreeing {
      try Evaluator.workerBytes(
        architecture, precision: precision, tokens: corpus.source(split).count, streams: streams, window: Self.window,
        shards: shards, rank: group.rank, workers: group.count)
    }
    _ = try MemoryBudget(
      group, weights: PackedParameters.bytes(architecture.layout, precision: precision, needsBackward: false),
      areShared: group.count == 1 || group.sharesMemory, own: own, given: memoryLimit.size?.bytes,
      key: MemoryLimitOption.key, what: "evaluation", remedy: "give fewer --streams")
    let (weights, _) = try PackedParameters.shared(
      by: group, architecture.layout, arithmetic, precision: precision, needsBackward: false
    ) { try reader.readParameters(into: $0) }
    let evaluator = try group.agreeing {
      try Evaluator(
        group, source: try corpus.source(split), streams: streams, window: Self.window, shards: shards
      ) { try architecture.makeScorer(weights, $0, rank: group.rank) }
    }
    let verification = try CorpusVerification(group, corpus, reading: [(split, evaluator.tokens)])
    try verification.settle(atMost: CorpusVerification.patience)
    let progress = ProgressLine()
    let result = try evaluator.evaluate { share in
      if group.rank == 0 { progress.update("evaluating: \(Int(share * 100)) %") }
    }
    progress.clear()
    try verification.settle()
    try group.agreeing {
      guard result.natsPerToken.isFinite else {
        throw Failure(
          .badData, "the loss is \(result.natsPerToken)", at: reader.path,
          remedy: "the run had diverged; take an earlier checkpoint")
      }
    }
    try group.onFirst {
      try EvaluationReport(
        checkpoint: reader.path, corpus: corpus.directory, split, result, precision: precision
      ).show(json: json)
    }
  }

  /// The loss of an n-gram model, which takes no time worth sharing.
  private func evaluateNGrams() throws {
    try WorkerLaunch.requireOneProcess("evaluate", fingerprint: Fingerprint(command: "evaluate"))
    let file = try NGramFile(path: checkpoint)
    let corpus = try CorpusReader(directory: self.corpus)
    try corpus.checkVocabulary(file.vocabulary, ofModel: file.path)
    try corpus.verify()
    let result = try file.model.evaluate(on: corpus, split, streams: streams)
    try EvaluationReport(checkpoint: file.path, corpus: corpus.directory, split, result).show(json: json)
  }
}

extension NGramModel {
  /// The loss on a split of a corpus that is cut into streams.
  func evaluate(on corpus: CorpusReader, _ split: Split, streams: Int) throws -> Evaluation {
    try Evaluator(
      SingleWorker(), source: try corpus.source(split), streams: streams, window: 1024,
      shards: Evaluator.shards(streams: streams)
    ) { NGramScorer(self, streams: $0.sequences) }.evaluate()
  }
}
