import Arena
import Configuration
import Corpus
import Kernels
import Optimizers
import Recurrent
import Workers

extension Trainer {
  /// Bytes that this worker allocates for training, besides the weights: the sum over its model, its gradients, its part
  /// of the optimiser's slots, the exchange, and the reading of tokens, and the same for validation.
  static func workerBytes(
    _ group: any WorkerGroup, _ configuration: RunConfiguration, _ corpus: CorpusReader, _ shape: ModelShape,
    _ precision: Precision, batch: LocalBatch, resuming: Bool
  ) -> Int {
    let (training, layout) = (configuration.training, shape.layout)
    let sharesGradients = group.count == 1 || group.sharesMemory && training.exchange == .tree
    var bytes = LanguageModel.bytes(
      shape, precision: precision, batch: batch, dropout: configuration.model.dropout > 0, training: true)
    bytes += LanguageModel.gradientBytes(shape, batch) + 8 * batch.rows
    // A split that is too short for its streams is refused when they are made.
    let train = try? StreamLayout(
      tokens: corpus.tokenCount(.train), streams: batch.globalStreams, window: batch.window,
      remainder: configuration.epochRemainder)
    bytes += train.map { TokenStreams.bytes($0, local: batch.streams.count) } ?? 0

    let kind = configuration.optimizerKind
    let isSparse = GradientExchange.isSparse(
      shape, batch, kind, weightDecay: configuration.optimizer.weightDecay, training.exchange)
    let prefix = isSparse ? layout["encoder.weight"]?.range.upperBound ?? 0 : 0
    let segments = SegmentedArena(count: layout.count, workers: group.count, sparsePrefix: prefix).segments
    let keepsWhole = training.exchange == .allreduce || group.count == 1
    bytes += 4 * kind.slotNames.count * (keepsWhole ? layout.count : segments[group.rank].count)
    bytes += exchangeBytes(
      group, shape, batch, segment: segments[group.rank], prefix: prefix, inPlace: sharesGradients, isSparse: isSparse)

    // A checkpoint: slots and states that the first worker gathers, or what restoring a slot takes.
    if group.rank == 0 {
      bytes += 4 * statesPerStream(shape) * batch.globalStreams * shape.hiddenSize
      if !keepsWhole { bytes += 4 * kind.slotNames.count * layout.count }
    }
    if resuming, !kind.slotNames.isEmpty { bytes += 4 * (layout.parameters.map(\.count).max() ?? 0) }

    let streams = min(configuration.data.streams, corpus.tokenCount(.valid) - 1)
    let shards = min(training.gradientShards, streams)
    if streams >= 1, shards >= group.count {
      bytes +=
        (try? Evaluator.workerBytes(
          shape, precision: precision, tokens: corpus.tokenCount(.valid), streams: streams,
          window: configuration.data.window, shards: shards, rank: group.rank, workers: group.count)) ?? 0
    }
    return bytes
  }

  /// What training needs on each host, and may have; collective.
  ///
  /// - Throws: ``WorkerFailure`` (usage) where that is less.
  static func memoryBudget(
    _ group: any WorkerGroup, _ configuration: RunConfiguration, _ corpus: CorpusReader, _ shape: ModelShape,
    _ precision: Precision, batch: LocalBatch, resuming: Bool
  ) throws -> MemoryBudget {
    let training = configuration.training
    return try MemoryBudget(
      group, weights: ModelWeights.bytes(shape, precision: precision, training: true),
      areShared: group.count == 1 || group.sharesMemory && training.exchange == .tree,
      own: workerBytes(group, configuration, corpus, shape, precision, batch: batch, resuming: resuming),
      given: training.memoryLimit, key: "training.memory_limit", what: "training",
      remedy: "use a smaller data.window, data.streams or model, or more hosts")
  }

  private static func statesPerStream(_ shape: ModelShape) -> Int { shape.layers * (shape.cell.hasCellState ? 2 : 1) }

  /// What arrives from workers whose memory this one can't read, and the lists of a sparse embedding's rows.
  private static func exchangeBytes(
    _ group: any WorkerGroup, _ shape: ModelShape, _ batch: LocalBatch, segment: Range<Int>, prefix: Int, inPlace: Bool,
    isSparse: Bool
  ) -> Int {
    let others = (0..<group.count).filter { $0 != group.rank }.map { batch.ofWorker($0, of: group.count).nodes.count }
    let inboxes = others.reduce(0, +)
    var bytes = 0
    if !inPlace {
      bytes += 4 * inboxes * (TreeReduction.pieceFloats * (shape.tied ? 2 : 1) + segment.clamped(to: 0..<prefix).count)
    }
    if isSparse {
      let rows = batch.mostSteps * batch.globalStreams
      bytes += 4 * rows + 20 * rows + shape.vocabularySize / 8
      if !inPlace { bytes += 8 * rows * shape.embeddingSize }
    }
    return bytes
  }
}

extension Evaluator {
  /// Bytes that a worker allocates for an evaluation, besides the weights.
  package static func workerBytes(
    _ shape: ModelShape, precision: Precision, tokens: Int, streams: Int, window: Int, shards: Int, rank: Int,
    workers: Int
  ) throws -> Int {
    let layout = try StreamLayout(tokens: tokens, streams: streams, window: window, remainder: .kept)
    let batch = LocalBatch(
      window: window, mostSteps: layout.steps(inWindow: 0), streams: streams, shards: shards, rank: rank,
      workers: workers)
    return LanguageModel.bytes(shape, precision: precision, batch: batch, dropout: false, training: false)
      + 8 * batch.rows + 8 * shards + TokenStreams.bytes(layout, local: batch.streams.count)
  }
}
