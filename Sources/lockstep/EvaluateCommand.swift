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
import Sharding
import Training
import Workers

extension Split: ExpressibleByArgument {}

struct EvaluateCommand: WorkerCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure a checkpoint's loss on a split of a corpus.",
    discussion: """
      The state is carried through the whole split and every prediction counts; the split's first token is predicted by \
      nothing. With --streams above 1 the split is cut into that many streams, each of which starts from a zero state: faster, \
      and a little pessimistic. For a tagger, the accuracy is reported too, and \
      where labels mark entities (B-, I-, O) precision, recall and F1, counted as conlleval does. Products are computed in the precision of \
      the run, f32 or bf16. The number of workers changes no bit.
      """)

  @Argument(help: "Checkpoint, or run directory (its latest).", completion: .file(), transform: PathName.expandingHome)
  var checkpoint: String

  @Option(help: "Corpus directory.", completion: .directory, transform: PathName.expandingHome)
  var corpus: String

  @Option(help: "Split: train, valid or test.")
  var split: Split = .test

  @Option(help: ArgumentHelp("Streams that the split is cut into; language models only. (default: 1)", valueName: "n"))
  var streams: Int?

  @Option(help: ArgumentHelp("Number of worker threads, at most one per stream. (default: 1)", valueName: "n"))
  var workers: Int?

  @OptionGroup var kernels: KernelOptions
  @OptionGroup var memory: MemoryOptions
  @OptionGroup var memoryLimit: MemoryLimitOption

  /// Time steps per window; states are carried over.
  private static let window = 64
  /// Sentences per batch, each a gradient shard of its own.
  private static let sentences = 64

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    if (try? Seal.isPresent(in: checkpoint, as: .nGramModel)) == true { return try evaluateNGrams() }
    let command = self
    let arithmetic = try kernels.arithmetic()
    let fingerprint = Fingerprint(
      command: "evaluate", arithmetic,
      options: [("--split", split.rawValue), ("--streams", "\(streams ?? 1)"), ("--json", "\(json)")] + memory.settings)
    try WorkerLaunch.run(threads: workers, sharedMemory: !memory.apart, fingerprint: fingerprint) { group in
      try command.evaluate(group, arithmetic)
    }
  }

  private func evaluate(_ group: any WorkerGroup, _ arithmetic: Arithmetic) throws {
    try group.agreeing { if let streams { try check(streams, group.count) } }
    let reader = try CheckpointReader.open(checkpoint, in: ".", by: group)
    let (corpus, saved) = try group.agreeing {
      let saved = try reader.savedConfiguration()
      try checkWorkers(group.count, saved.task)
      let corpus = try CorpusReader(directory: self.corpus, for: saved.task)
      try corpus.checkVocabulary(reader.vocabulary(), ofModel: reader.path)
      try corpus.checkLabels(reader.header.labels, ofModel: reader.path)
      return (corpus, saved)
    }
    try group.compare(corpus)
    let precision: Precision = saved.training.precision == .bf16 && arithmetic.computes(in: .bf16) ? .bf16 : .f32
    if group.rank == 0, saved.training.precision == .bf16, precision == .f32 {
      StandardErrorLog.logger.info(
        "the run used bf16, which this processor does not support; evaluating in f32")
    }
    let size = reader.header.vocabulary.count
    let result =
      switch saved.task {
      case .languageModel:
        try evaluate(
          group, saved.languageArchitecture(vocabularySize: size), reader, corpus, arithmetic, precision)
      case .tagging:
        try evaluate(
          group, saved.taggerArchitecture(vocabularySize: size, labels: corpus.labels), reader, corpus,
          arithmetic, precision)
      }
    try group.agreeing {
      guard result.natsPerToken.isFinite else {
        throw Failure(
          .badData, "the loss is \(result.natsPerToken)", at: reader.path,
          remedy: "the run had diverged; take an earlier checkpoint")
      }
    }
    try group.onFirst {
      try EvaluationReport(
        checkpoint: reader.path, corpus: corpus.directory, split, result, computedIn: precision
      ).show(json: json)
    }
  }

  private func check(_ streams: Int, _ workers: Int) throws {
    guard streams >= 1 else {
      throw Failure(.usage, "\(streams) streams are too few", at: "--streams", remedy: "give 1 or more")
    }
    let most = RunConfiguration.mostPositions / Self.window
    guard streams <= most else {
      throw Failure(.usage, "\(streams) streams are too many", at: "--streams", remedy: "give at most \(most)")
    }
    guard workers <= BatchPlan.scoringShards(sequences: streams) else {
      throw Failure(
        .usage, "\(workers) workers can't share \(streams == 1 ? "1 stream" : "\(streams) streams")",
        at: "--streams", remedy: "give at least one stream per worker, for example --streams \(workers * 10)")
    }
  }

  private func checkWorkers(_ workers: Int, _ task: TaskName) throws {
    switch task {
    case .languageModel: try check(streams ?? 1, workers)
    case .tagging:
      guard streams == nil else {
        throw Failure(
          .usage, "only language models are evaluated in streams, and this is one for \(task.rawValue)",
          at: "--streams", remedy: "leave the option out")
      }
      guard workers <= Self.sentences else {
        throw Failure(.usage, "\(workers) workers are too many", remedy: "start at most \(Self.sentences)")
      }
    }
  }

  private func evaluate(
    _ group: any WorkerGroup, _ architecture: LanguageArchitecture, _ reader: CheckpointReader, _ corpus: CorpusReader,
    _ arithmetic: Arithmetic, _ precision: Precision
  ) throws -> Evaluation {
    let streams = streams ?? 1
    let shards = BatchPlan.scoringShards(sequences: streams)
    let own = try group.agreeing {
      try LanguageModelTask.evaluationBytes(
        architecture, precision: precision, tokens: corpus.source(split).count, streams: streams, window: Self.window,
        shards: shards, rank: group.rank, workers: group.count)
    }
    let weights = try weights(
      group, architecture, reader, arithmetic, precision, own: own, remedy: "give fewer --streams")
    let evaluator = try group.agreeing {
      try Evaluator(
        group, source: try corpus.source(split), streams: streams, window: Self.window, shards: shards
      ) { try LanguageScorer(architecture, weights, $0, rank: group.rank) }
    }
    let verification = try CorpusVerification(group, corpus, reading: [(split, evaluator.reading)])
    try verification.settle(atMost: CorpusVerification.patience)
    let result = try run(evaluator, group)
    try verification.settle()
    return result
  }

  private func evaluate(
    _ group: any WorkerGroup, _ architecture: TaggerArchitecture, _ reader: CheckpointReader, _ corpus: CorpusReader,
    _ arithmetic: Arithmetic, _ precision: Precision
  ) throws -> Evaluation {
    let sentences = try group.agreeing { try corpus.labelledSplit(split) }
    let plan = BatchPlan(
      lengths: sentences.lengths, sequences: Self.sentences, shards: Self.sentences, workers: group.count)
    let weights = try weights(
      group, architecture, reader, arithmetic, precision,
      own: architecture.scorerBytes(plan, rank: group.rank, precision: precision),
      remedy: "use a machine with more memory")
    let evaluator = try group.agreeing {
      try Evaluator.tagging(group, architecture, weights, sentences, labels: corpus.labels, plan)
    }
    return try run(evaluator, group)
  }

  /// The checkpoint's weights, packed for the forward pass only; collective.
  ///
  /// - Parameters:
  ///   - own: other bytes that this worker needs.
  ///   - remedy: what to do if there is not enough memory.
  private func weights(
    _ group: any WorkerGroup, _ architecture: any Architecture, _ reader: CheckpointReader, _ arithmetic: Arithmetic,
    _ precision: Precision, own: Int, remedy: String
  ) throws -> PackedParameters {
    _ = try MemoryBudget(
      group, weights: PackedParameters.bytes(architecture.layout, precision: precision, needsBackward: false),
      areShared: group.count == 1 || group.sharesMemory, own: own, given: memoryLimit.size?.bytes,
      key: MemoryLimitOption.key, what: "evaluation", remedy: remedy)
    return try PackedParameters.shared(
      by: group, architecture.layout, arithmetic, precision: precision, needsBackward: false
    ) { try reader.readParameters(into: $0) }.weights
  }

  private func run<Input>(_ evaluator: Evaluator<Input>, _ group: any WorkerGroup) throws -> Evaluation {
    let progress = ProgressLine()
    defer { progress.clear() }
    return try evaluator.evaluate { share in
      if group.rank == 0 { progress.update("evaluating: \(Int(share * 100)) %") }
    }
  }

  /// Evaluates an n-gram model, which is too fast to be worth several workers.
  private func evaluateNGrams() throws {
    try WorkerLaunch.requireOneProcess("evaluate", fingerprint: Fingerprint(command: "evaluate"))
    let file = try NGramFile(path: checkpoint)
    let corpus = try CorpusReader(directory: self.corpus)
    try corpus.checkVocabulary(file.vocabulary, ofModel: file.path)
    try corpus.verify()
    let result = try file.model.evaluate(on: corpus, split, streams: streams ?? 1)
    try EvaluationReport(checkpoint: file.path, corpus: corpus.directory, split, result).show(json: json)
  }
}

extension NGramModel {
  /// The loss on a split of a corpus, divided into streams.
  func evaluate(on corpus: CorpusReader, _ split: Split, streams: Int) throws -> Evaluation {
    try Evaluator(
      SingleWorker(), source: try corpus.source(split), streams: streams, window: 1024,
      shards: BatchPlan.scoringShards(sequences: streams)
    ) { NGramScorer(self, streams: $0.sequences) }.evaluate()
  }
}
