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

/// Trains a tagger on labelled sentences.
package final class TaggingTask: SequenceTask {
  package let budget: MemoryBudget
  package let initialParameters: String?
  let ownReplica: Replica<Sentences>
  var batches: any BatchSource<Sentences> { source }
  let batch: Batch<Sentences>
  let evaluator: Evaluator<Sentences>?
  private let architecture: TaggerArchitecture
  private let source: SequenceBatches
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
    let (train, valid) = try group.agreeing {
      (
        try corpus.labelledSplit(.train),
        corpus.sequenceCount(.valid) > 0 ? try corpus.labelledSplit(.valid) : nil
      )
    }
    let architecture = configuration.taggerArchitecture(
      vocabularySize: corpus.vocabulary.count, labels: corpus.labels)
    self.architecture = architecture
    let (plan, validPlan) = try group.agreeing {
      (try Self.plan(train, configuration, group), try valid.map { try Self.plan($0, configuration, group) })
    }
    let bytes = [plan, validPlan].compactMap { $0 }.reduce(0) { $0 + Self.batchBytes($1, rank: group.rank) }
    budget = try .training(
      group, configuration, architecture, plan,
      data: bytes
        + (validPlan.map {
          architecture.scorerBytes($0, rank: group.rank, precision: configuration.training.precision)
        } ?? 0),
      resuming: checkpoint != nil, remedy: "use a smaller data.batch or model, or more hosts")
    var loaded: String?
    ownReplica = try Replica(
      group, configuration, architecture, plan, arithmetic, corpus, resuming: checkpoint, didLoad: { loaded = $0 })
    initialParameters = loaded
    source = SequenceBatches(train, plan, rank: group.rank, seed: UInt64(configuration.training.seed))
    batch = source.makeBatch()
    evaluator = try group.agreeing { [weights = ownReplica.weights] in
      try StopSignal.check()
      guard let valid, let validPlan else { return nil }
      return try .tagging(group, architecture, weights, valid, labels: corpus.labels, validPlan)
    }
  }

  private static func plan(
    _ split: LabelledSplit, _ configuration: RunConfiguration, _ group: any WorkerGroup
  ) throws -> BatchPlan {
    let size = configuration.data.batch
    let plan = BatchPlan(
      lengths: split.lengths, sequences: size, shards: configuration.training.gradientShards, workers: group.count)
    let positions = plan.mostRows(in: 0..<plan.tree.count)
    guard positions <= RunConfiguration.mostPositions else {
      throw Failure(
        .usage,
        "\(size) sentences may have \(positions) words, more than the \(RunConfiguration.mostPositions) of a batch",
        at: "data.batch", remedy: "give fewer sentences")
    }
    return plan
  }

  package var uninformedLoss: Double { log(Double(corpus.labels.count)) }
  /// Bytes of a batch's tokens, labels and row lists.
  private static func batchBytes(_ plan: BatchPlan, rank: Int) -> Int {
    3 * MemoryLayout<Int32>.stride * plan.mostRows(of: rank)
  }

  package func steps(epoch: Int, index: Int) -> Int { source.steps(epoch: epoch, index: index) }

  // Empty: the splits are in memory, and their digests were verified as they were read.
  package var reading: [(split: Split, range: Range<Int>)] { [] }

  package func description(resuming checkpoint: CheckpointReader?) -> [String] {
    let shape = architecture.shape
    let parameters = architecture.layout.parameters.reduce(0) { $0 + $1.count }
    return [
      "model: tagger, \(shape.isBidirectional ? "bidirectional " : "")\(cell.rawValue), \(shape.layers) × "
        + "\(shape.hiddenSize), embedding \(shape.embeddingSize), vocabulary \(grouped(shape.vocabularySize)), "
        + "\(shape.labels) labels, \(grouped(parameters)) parameters",
      "data: \(corpus.directory), \(grouped(source.split.count)) sentences of \(grouped(source.split.tokens.count)) words, "
        + "\(grouped(batchesPerEpoch)) batches of \(ownReplica.plan.sequences) per epoch",
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
        .badData, "its position, batch \(header.window) of epoch \(header.epoch + 1), is not in this corpus",
        at: checkpoint.path, remedy: remedy)
    }
    if let digest = header.corpusDigest, try corpus.contentDigest() != digest {
      throw Failure(
        .badData, "the run was trained on different sentences from those in the corpus \(corpus.directory) has",
        at: checkpoint.path, remedy: remedy)
    }
    return TrainingPosition(
      step: header.step, epoch: header.epoch, window: header.window, tokens: try checkpoint.trainingCount("tokens"))
  }
}

extension Evaluator where Input == Sentences {
  /// Evaluates the loss and the labels of a tagger.
  ///
  /// - Parameters:
  ///   - labels: by id.
  ///   - plan: of batches of the split.
  package static func tagging(
    _ group: any WorkerGroup, _ architecture: TaggerArchitecture, _ weights: PackedParameters, _ split: LabelledSplit,
    labels: [String], _ plan: BatchPlan
  ) throws -> Evaluator {
    Evaluator(
      group, SequenceBatches(split, plan, rank: group.rank, seed: nil), plan,
      try TaggerScorer(architecture, weights, plan, rank: group.rank), reading: 0..<split.count,
      measure: TaggingMeasure(labels: labels))
  }
}
