import Checkpoints
import Configuration
import Corpus
import Exchange
import Failures
import Foundation
import Interfaces
import Kernels
import Layers
import Models
import Parameters
import Sharding
import Signals
import Workers

/// Taggers on labelled sentences.
package final class TaggingTask: TrainingTask {
  package var replica: any WorkerReplica { taggerReplica }
  package let budget: MemoryBudget
  package let initialParameters: String?
  private let architecture: TaggerArchitecture
  private let taggerReplica: Replica<Sentences>
  private let source: SequenceBatches
  private let batch: Batch<Sentences>
  private let evaluator: Evaluator<Sentences>?
  private let corpus: CorpusReader
  private let cell: Cell.Family

  /// Collective.
  ///
  /// - Throws: ``WorkerFailure``, the same on all workers: what corpus, checkpoint or memory lack.
  init(
    _ group: any WorkerGroup, _ configuration: RunConfiguration, _ corpus: CorpusReader, _ arithmetic: Arithmetic,
    resuming checkpoint: CheckpointReader?
  ) throws {
    (self.corpus, cell) = (corpus, configuration.model.cell)
    let (train, valid) = try group.agreeing {
      (
        try corpus.labelledSplit(.train),
        corpus.sequenceCount(.valid) > 0 ? try corpus.labelledSplit(.valid) : nil
      )
    }
    let architecture = configuration.taggerArchitecture(
      vocabularySize: corpus.vocabulary.count, labels: corpus.labels.count)
    self.architecture = architecture
    let plan = try group.agreeing { try Self.plan(train, configuration, group, corpus) }
    budget = try Self.memoryBudget(group, configuration, architecture, plan, resuming: checkpoint != nil)
    var loaded: String?
    taggerReplica = try Replica(
      group, architecture, plan, arithmetic, precision: configuration.training.precision, TrainingMethod(configuration)
    ) { parameters in
      if let checkpoint {
        try checkpoint.readParameters(into: parameters)
      } else {
        loaded = try configuration.initialize(parameters, architecture, corpus: corpus)
      }
    }
    initialParameters = loaded
    source = SequenceBatches(train, plan, rank: group.rank, seed: UInt64(configuration.training.seed))
    batch = source.makeBatch()
    evaluator = try group.agreeing { [weights = taggerReplica.weights] in
      try StopSignal.check()
      return try valid.map {
        try .tagging(
          group, architecture, weights, $0, batch: configuration.data.batch,
          shards: configuration.training.gradientShards)
      }
    }
  }

  private static func plan(
    _ split: LabelledSplit, _ configuration: RunConfiguration, _ group: any WorkerGroup, _ corpus: CorpusReader
  ) throws -> BatchPlan {
    let size = configuration.data.batch
    guard size <= RunConfiguration.mostPositions / split.longest else {
      throw Failure(
        .usage,
        "a batch of \(size) sentences of up to \(split.longest) words has more positions than "
          + "\(RunConfiguration.mostPositions)", at: "data.batch", remedy: "give fewer sentences")
    }
    return BatchPlan(
      window: split.longest, sequences: size, shards: configuration.training.gradientShards, workers: group.count)
  }

  package var batchesPerEpoch: Int { source.batchesPerEpoch }
  package var canValidate: Bool { evaluator != nil }
  package var uninformedLoss: Double { log(Double(corpus.labels.count)) }
  package func targets(epoch: Int, index: Int) -> Int { source.targets(epoch: epoch, index: index) }
  package func steps(epoch: Int, index: Int) -> Int { source.steps(epoch: epoch, index: index) }

  // The splits are held in memory, and their digests were compared as they were read.
  package var reading: [(split: Split, range: Range<Int>)] { [] }

  package func pass(
    at position: BatchPosition, willFill: () throws -> Void, didPass: (any GradientModel) -> Void
  ) -> Result<[Double], any Error> {
    taggerReplica.pass(
      batch,
      fill: {
        try willFill()
        try source.fill(batch, at: position)
      }, didPass: didPass)
  }

  package func validate(progress: (Double) -> Void) throws -> Evaluation? {
    try evaluator?.evaluateUnlessStopped(progress: progress)
  }

  package func description(resuming checkpoint: CheckpointReader?) -> [String] {
    let shape = architecture.shape
    let parameters = architecture.layout.parameters.reduce(0) { $0 + $1.count }
    return [
      "model: tagger, \(shape.isBidirectional ? "bidirectional " : "")\(cell.rawValue), \(shape.layers) × "
        + "\(shape.hiddenSize), embedding \(shape.embeddingSize), vocabulary \(grouped(shape.vocabularySize)), "
        + "\(shape.labels) labels, \(grouped(parameters)) parameters",
      "data: \(corpus.directory), \(grouped(source.split.count)) sentences of \(grouped(source.split.tokens.count)) words, "
        + "\(grouped(batchesPerEpoch)) batches of \(taggerReplica.plan.sequences) per epoch",
    ]
  }
}

// MARK: - Positions

extension TaggingTask {
  package var randomStream: String { "philox4x32-10 keyed by seed, epoch, sequence, layer and time step" }
  package var trainingState: [String: Double] { [:] }
  package func streamPositions(window: Int) -> [Int64] { [] }

  package func position(of checkpoint: CheckpointReader) throws -> TrainingPosition {
    let header = checkpoint.header
    let remedy =
      "give the corpus that the run was started with as data.corpus, or start a new run with this checkpoint "
      + "as model.initial_parameters"
    guard header.step >= 0, header.epoch >= 0, (0..<batchesPerEpoch).contains(header.window) else {
      throw Failure(
        .badData, "it stands at batch \(header.window) of epoch \(header.epoch + 1), which this corpus does not have",
        at: checkpoint.path, remedy: remedy)
    }
    if let digest = header.corpusDigest, try corpus.contentDigest() != digest {
      throw Failure(
        .badData, "the run was trained on other sentences than the corpus \(corpus.directory) has",
        at: checkpoint.path, remedy: remedy)
    }
    return TrainingPosition(
      step: header.step, epoch: header.epoch, window: header.window, tokens: try checkpoint.trainingCount("tokens"))
  }
}

// MARK: - Memory

extension TaggingTask {
  private static func memoryBudget(
    _ group: any WorkerGroup, _ configuration: RunConfiguration, _ architecture: TaggerArchitecture, _ plan: BatchPlan,
    resuming: Bool
  ) throws -> MemoryBudget {
    let (training, layout, rule) = (configuration.training, architecture.layout, configuration.updateRule)
    let isShared = group.count == 1 || group.sharesMemory && training.exchange == .tree
    let keepsWhole = training.exchange == .allreduce || group.count == 1
    let own = Ownership(layout, workers: group.count).segments[group.rank].count
    var bytes = architecture.modelBytes(plan, rank: group.rank, precision: training.precision)
    bytes += architecture.scorerBytes(plan, rank: group.rank, precision: training.precision)
    bytes += architecture.gradientBytes(plan, rank: group.rank)
    bytes += 24 * plan.mostRows(of: group.rank)
    bytes += 4 * rule.slotNames.count * (keepsWhole ? layout.count : own)
    bytes +=
      training.exchange == .allreduce
      ? 4 * layout.count
      : 4 * TreeExchange.floats([architecture.table], plan, rank: group.rank, sharesMemory: isShared)
    if group.rank == 0, !keepsWhole { bytes += 4 * rule.slotNames.count * layout.count }
    if resuming, !rule.slotNames.isEmpty { bytes += 4 * (layout.parameters.map(\.count).max() ?? 0) }
    return try MemoryBudget(
      group, weights: PackedParameters.bytes(layout, precision: training.precision, needsBackward: true),
      areShared: isShared, own: bytes, given: training.memoryLimit, key: "training.memory_limit", what: "training",
      remedy: "use a smaller data.batch or model, or more hosts")
  }
}

extension Evaluator where Input == Sentences {
  /// The loss and accuracy of a tagger.
  ///
  /// - Parameters:
  ///   - batch: sentences that are computed at once, over all workers.
  ///   - shards: parts that losses are summed in; at least as many as workers, and no more than `batch`.
  package static func tagging(
    _ group: any WorkerGroup, _ architecture: TaggerArchitecture, _ weights: PackedParameters, _ split: LabelledSplit,
    batch: Int, shards: Int
  ) throws -> Evaluator {
    let plan = BatchPlan(window: split.longest, sequences: batch, shards: shards, workers: group.count)
    return Evaluator(
      group, SequenceBatches(split, plan, rank: group.rank, seed: nil), plan,
      try TaggerScorer(architecture, weights, plan, rank: group.rank), reading: 0..<split.count
    ) { batch, answers in
      zip(batch.units.lazy.flatMap(\.rows), answers).count { batch.input.labels[Int($0)] == $1 }
    }
  }
}
