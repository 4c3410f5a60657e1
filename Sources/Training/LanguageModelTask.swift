import Checkpoints
import Configuration
import Corpus
import Failures
import Foundation
import Interfaces
import Kernels
import Layers
import Models
import Sharding
import Signals
import Workers

/// Trains a language model on streams.
package final class LanguageModelTask: SequenceTask {
  package let budget: MemoryBudget
  package let initialParameters: String?
  let ownReplica: Replica<Window>
  var batches: any BatchSource<Window> { source }
  let batch: Batch<Window>
  let evaluator: Evaluator<Window>?
  private let architecture: LanguageArchitecture
  private let source: StreamBatches
  private let corpus: CorpusReader
  private let cell: Cell.Family

  /// Collective.
  ///
  /// - Throws: ``WorkerFailure``, the same on all workers, if corpus or checkpoint is unsuitable or memory is too
  ///   small.
  init(
    _ group: any WorkerGroup, _ configuration: RunConfiguration, _ corpus: CorpusReader, _ arithmetic: Arithmetic,
    resuming checkpoint: CheckpointReader?
  ) throws {
    (self.corpus, cell) = (corpus, configuration.model.cell)
    let architecture = configuration.languageArchitecture(vocabularySize: corpus.vocabulary.count)
    self.architecture = architecture
    let plan = try group.agreeing { try Self.batchPlan(group, configuration, corpus) }
    budget = try .training(
      group, configuration, architecture, plan, data: Self.dataBytes(group, configuration, corpus, architecture, plan),
      states: architecture.cells.joined().reduce(0) { $0 + $1.hiddenSize * ($1.cell == .lstm ? 2 : 1) },
      resuming: checkpoint != nil, remedy: "use a smaller data.window, data.streams or model, or more hosts")
    var loaded: String?
    ownReplica = try Replica(
      group, configuration, architecture, plan, arithmetic, corpus, resuming: checkpoint, didLoad: { loaded = $0 })
    initialParameters = loaded
    source = try group.agreeing {
      try StopSignal.check()
      let streams = try TokenStreams(
        reader: corpus, split: .train, streams: plan.sequences, local: plan.sequences(of: group.rank),
        window: plan.window, remainder: configuration.epochRemainder)
      return StreamBatches(streams, plan, rank: group.rank)
    }
    batch = source.makeBatch()
    evaluator = try group.agreeing { [weights = ownReplica.weights] in
      try Self.makeEvaluator(group, configuration, corpus, architecture, weights)
    }
  }

  /// The batch plan, with windows no longer than the train split can fill.
  private static func batchPlan(
    _ group: any WorkerGroup, _ configuration: RunConfiguration, _ corpus: CorpusReader
  ) throws -> BatchPlan {
    let data = configuration.data
    var steps: Int?
    do {
      let layout = try StreamLayout(
        tokens: corpus.tokenCount(.train), streams: data.streams, window: data.window,
        remainder: configuration.epochRemainder)
      steps = layout.steps(inWindow: 0)
    } catch {
      // TokenStreams reports it later, with the corpus's name; until then use the smallest batch.
      steps = 1
    }
    return BatchPlan(
      window: data.window, steps: steps, sequences: data.streams, shards: configuration.training.gradientShards,
      workers: group.count)
  }

  /// The evaluator of the valid split, on as many streams as training has, or fewer if the split is too short.
  private static func makeEvaluator(
    _ group: any WorkerGroup, _ configuration: RunConfiguration, _ corpus: CorpusReader,
    _ architecture: LanguageArchitecture, _ weights: PackedParameters
  ) throws -> Evaluator<Window>? {
    let tokens = corpus.tokenCount(.valid)
    guard tokens > 0 else { return nil }
    let streams = min(configuration.data.streams, tokens - 1)
    let shards = min(configuration.training.gradientShards, streams)
    guard streams >= 1, shards >= group.count else {
      throw Failure(
        .badData, "\(tokens) tokens are too few for \(group.count) workers", at: "\(corpus.directory), valid split",
        remedy: "use fewer workers, or prepare the corpus with a larger valid split")
    }
    return try Evaluator(
      group, source: try corpus.source(.valid), streams: streams, window: configuration.data.window, shards: shards
    ) { try LanguageScorer(architecture, weights, $0, rank: group.rank) }
  }

  package var uninformedLoss: Double { log(Double(architecture.shape.vocabularySize)) }
  package func steps(epoch: Int, index: Int) -> Int { source.streams.steps(inWindow: index) }

  package var reading: [(split: Split, range: Range<Int>)] {
    [(.train, source.streams.tokens)] + (evaluator.map { [(.valid, $0.reading)] } ?? [])
  }

  package func description(resuming checkpoint: CheckpointReader?) -> [String] {
    let (shape, plan) = (architecture.shape, ownReplica.plan)
    let parameters = architecture.layout.parameters.reduce(0) { $0 + $1.count }
    let left = source.streams.layout.tokensLeftOut
    let leftOut = left == 0 ? "" : ", which leaves out \(grouped(left)) token\(left == 1 ? "" : "s")"
    var lines = [
      "model: \(cell.rawValue), \(shape.layers) × \(shape.hiddenSize), embedding "
        + "\(shape.embeddingSize)\(shape.tied ? " (tied)" : ""), vocabulary \(grouped(shape.vocabularySize)), "
        + "\(grouped(parameters)) parameters",
      "data: \(corpus.directory), \(grouped(corpus.tokenCount(.train))) training tokens in \(plan.sequences) streams, "
        + "\(grouped(batchesPerEpoch)) windows of \(plan.window) steps per epoch\(leftOut)",
    ]
    if let checkpoint, checkpoint.seal.formatVersion < 2 {
      lines.append(
        "the checkpoint is of an earlier version, which trained on all tokens of an epoch: from here on the order and "
          + "number of steps differ from it (\(grouped(batchesPerEpoch)) steps per epoch\(leftOut))")
    }
    return lines
  }
}

// MARK: - Positions

extension LanguageModelTask {
  package var randomStream: String { "philox4x32-10 keyed by seed, step, stream, layer and time step" }
  package var trainingState: [String: Double] { ["corpus_tokens": Double(source.streams.layout.tokens)] }

  package func streamPositions(window: Int) -> [Int64] {
    let layout = source.streams.layout
    return (0..<layout.streams).map { stream in
      Int64(layout.start(of: stream) + min(window * layout.window, layout.predictions(of: stream)))
    }
  }

  /// The position at which a run resumes from a checkpoint.
  ///
  /// Version 1 trained on the last tokens of an epoch, which are now left out: a position among them becomes the start
  /// of
  /// the next epoch.
  /// - Throws: ``Failure`` (bad data) for another corpus, or a position outside it.
  package func position(of checkpoint: CheckpointReader) throws -> TrainingPosition {
    let layout = source.streams.layout
    let header = checkpoint.header
    var (epoch, window) = (header.epoch, header.window)
    if checkpoint.seal.formatVersion < 2 {
      let earlier = try StreamLayout(
        tokens: layout.tokens, streams: layout.streams, window: layout.window, remainder: .kept)
      if (layout.windowCount..<earlier.windowCount).contains(window) { (epoch, window) = (epoch + 1, 0) }
    }
    guard header.step >= 0, epoch >= 0, (0..<layout.windowCount).contains(window) else {
      throw Failure(
        .badData, "its position, window \(header.window) of epoch \(header.epoch + 1), is not in this corpus",
        at: checkpoint.path, remedy: "give the corpus that the run was started with as data.corpus")
    }
    // With another length, every stream but the first would continue at a different place in the text.
    if let tokens = header.trainingState.count("corpus_tokens"), tokens != layout.tokens {
      throw Failure(
        .badData,
        "the run was trained on \(tokens) tokens, and the corpus \(corpus.directory) has \(layout.tokens)",
        at: checkpoint.path,
        remedy: "give the corpus that the run was started with as data.corpus, or start a new run with this checkpoint "
          + "as model.initial_parameters")
    }
    // The digest is of the content: shard files and path may have changed. Version 1 recorded only the length.
    if let digest = header.corpusDigest, try corpus.contentDigest() != digest {
      throw Failure(
        .badData, "the run was trained on another text than the corpus \(corpus.directory) has, of the same vocabulary",
        at: checkpoint.path,
        remedy: "give the corpus that the run was started with as data.corpus, or start a new run with this checkpoint "
          + "as model.initial_parameters")
    }
    return TrainingPosition(
      step: header.step, epoch: epoch, window: window, tokens: try checkpoint.trainingCount("tokens"))
  }
}
