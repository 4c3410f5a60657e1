import Checkpoints
import Configuration
import Corpus
import Exchange
import Interfaces
import Kernels
import Models
import Optimizers
import Parameters
import Sharding
import Workers

extension LanguageModelTask {
  /// Bytes that this worker allocates for training, besides the weights: the sum over its model, its gradients, its part
  /// of the optimiser's slots, the exchange, and the reading of tokens, and the same for validation.
  private static func workerBytes(
    _ group: any WorkerGroup, _ configuration: RunConfiguration, _ corpus: CorpusReader,
    _ architecture: LanguageArchitecture, _ plan: BatchPlan, resuming: Bool
  ) -> Int {
    let (training, layout) = (configuration.training, architecture.layout)
    var bytes = architecture.modelBytes(plan, rank: group.rank, precision: training.precision)
    bytes += architecture.gradientBytes(plan, rank: group.rank)
    bytes += StreamBatches.batchBytes(plan, rank: group.rank)
    // A split that is too short for its streams is refused when they are made.
    let train = try? StreamLayout(
      tokens: corpus.tokenCount(.train), streams: plan.sequences, window: plan.window,
      remainder: configuration.epochRemainder)
    bytes += train.map { TokenStreams.bytes($0, local: plan.sequences(of: group.rank).count) } ?? 0

    let rule = configuration.updateRule
    let keepsWhole = training.exchange == .allreduce || group.count == 1
    let own = Ownership(layout, workers: group.count).segments[group.rank].count
    bytes += 4 * rule.slotNames.count * (keepsWhole ? layout.count : own)
    bytes += exchangeBytes(group, architecture, plan, training.exchange)

    // A checkpoint: slots and states that the first worker gathers, or what restoring a slot takes.
    if group.rank == 0 {
      let states = architecture.cells.reduce(0) { $0 + $1[0].hiddenSize * ($1[0].cell == .lstm ? 2 : 1) }
      bytes += 4 * states * plan.sequences
      if !keepsWhole { bytes += 4 * rule.slotNames.count * layout.count }
    }
    if resuming, !rule.slotNames.isEmpty { bytes += 4 * (layout.parameters.map(\.count).max() ?? 0) }

    let streams = min(configuration.data.streams, corpus.tokenCount(.valid) - 1)
    let shards = min(training.gradientShards, streams)
    if streams >= 1, shards >= group.count {
      bytes +=
        (try? evaluationBytes(
          architecture, precision: training.precision, tokens: corpus.tokenCount(.valid), streams: streams,
          window: configuration.data.window, shards: shards, rank: group.rank, workers: group.count)) ?? 0
    }
    return bytes
  }

  /// What training needs on each host, and may have; collective.
  ///
  /// - Throws: ``WorkerFailure`` (usage) where that is less.
  static func memoryBudget(
    _ group: any WorkerGroup, _ configuration: RunConfiguration, _ corpus: CorpusReader,
    _ architecture: LanguageArchitecture, _ plan: BatchPlan, resuming: Bool
  ) throws -> MemoryBudget {
    let training = configuration.training
    return try MemoryBudget(
      group,
      weights: PackedParameters.bytes(architecture.layout, precision: training.precision, needsBackward: true),
      areShared: group.count == 1 || group.sharesMemory && training.exchange == .tree,
      own: workerBytes(group, configuration, corpus, architecture, plan, resuming: resuming),
      given: training.memoryLimit, key: "training.memory_limit", what: "training",
      remedy: "use a smaller data.window, data.streams or model, or more hosts")
  }

  /// What sums and messages take: of a table's rows, of workers whose memory this one can't read, of an allreduce.
  private static func exchangeBytes(
    _ group: any WorkerGroup, _ architecture: LanguageArchitecture, _ plan: BatchPlan,
    _ method: TrainingConfiguration.Exchange
  ) -> Int {
    if method == .allreduce { return 4 * architecture.layout.count }
    let inPlace = group.count == 1 || group.sharesMemory
    let floats = TreeExchange.floats([architecture.table], plan, rank: group.rank, sharesMemory: inPlace)
    return 4 * floats + 24 * plan.mostRows(in: 0..<plan.tree.count) + architecture.table.rows / 8
  }
}

extension LanguageModelTask {
  /// Bytes that a worker allocates for an evaluation, besides the weights.
  package static func evaluationBytes(
    _ architecture: LanguageArchitecture, precision: Precision, tokens: Int, streams: Int, window: Int, shards: Int,
    rank: Int, workers: Int
  ) throws -> Int {
    let layout = try StreamLayout(tokens: tokens, streams: streams, window: window, remainder: .kept)
    let plan = BatchPlan(
      window: window, steps: layout.steps(inWindow: 0), sequences: streams, shards: shards, workers: workers)
    return architecture.scorerBytes(plan, rank: rank, precision: precision)
      + StreamBatches.batchBytes(plan, rank: rank) + 8 * shards
      + TokenStreams.bytes(layout, local: plan.sequences(of: rank).count)
  }
}
