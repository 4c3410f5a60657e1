import Arena
import Configuration
import Kernels
import Optimizers
import Recurrent
import Signals
import Workers

/// What all workers know of a step after they have exchanged gradients: the same bits on each.
package struct StepOutcome: Sendable, Equatable {
  /// Summed cross-entropy over the global batch, in nats.
  package var lossSum = 0.0
  /// Norm of the gradient before clipping.
  package var gradientNorm = 0.0
  /// A stop signal has reached some worker.
  package var stopRequested = false

  package var isFinite: Bool { lossSum.isFinite && gradientNorm.isFinite }
}

/// Adds up the gradients of all workers, clips them by their global norm, updates the weights, and hands every worker
/// the new weights.
///
/// Reduce-scatter along the fixed tree → squared norms of fixed blocks, gathered → each worker updates the segment that
/// it owns (the optimiser's slots exist only there) → all-gather of the new weights. Sums travel, never means: the
/// division by tokens comes after.
package final class GradientExchange {
  package let optimizer: Optimizer
  /// Which part of the arena each worker owns.
  package let segments: [Range<Int>]
  /// Whether every worker keeps the slots of the whole arena, and not only those of its segment.
  package let keepsWholeSlots: Bool

  private let group: any WorkerGroup
  private let method: TrainingConfiguration.Exchange
  private let model: LanguageModel
  private let arithmetic: Arithmetic
  private let arena: SegmentedArena
  private let reduction: TreeReduction?
  private let tiedReduction: TreeReduction?
  /// The embedding's touched rows, where that matrix is sparse.
  private let embeddingRows: EmbeddingRows?
  /// Whether the workers hold one copy of the weights between them.
  package let sharesWeights: Bool
  /// Where a tied embedding's part is added, in floats of the arena.
  private let tiedRange: Range<Int>?

  /// What a worker tells the others at each step: sums of squares of its blocks, losses of its shards, two flags.
  private let records: UnsafeMutableBufferPointer<Double>
  private let recordRanges: [Range<Int>]
  private let recordBytes: [Range<Int>]  // the same, and the segments, as the gathering wants them
  private let segmentBytes: [Range<Int>]
  private let losses: UnsafeMutableBufferPointer<Double>  // [G]

  private static let flags = 2

  /// Collective.
  ///
  /// - Parameters:
  ///   - model: the worker's model, whose gradients are exchanged and whose weights are updated. Where workers share
  ///     memory and the exchange is a tree, its gradients are made of the group's ``WorkerGroup/floats(_:)``, and it has no
  ///     other exchange: memory is shared once.
  ///   - sharesWeights: whether all workers' models have the same weights in memory: where the group shares memory,
  ///     but not for a plain allreduce.
  ///   - isEmbeddingSparse: for tests that hold both ways against each other; nil: what is cheaper.
  package init(
    _ group: any WorkerGroup, model: LanguageModel, optimizer kind: OptimizerKind, weightDecay: Double,
    method: TrainingConfiguration.Exchange, sharesWeights: Bool, isEmbeddingSparse: Bool? = nil
  ) throws {
    precondition(method == .tree || group.count == 1 || !sharesWeights, "an update of all weights by every worker")
    self.group = group
    self.model = model
    self.method = method
    self.sharesWeights = sharesWeights
    let (layout, arithmetic) = (model.weights.parameters.layout, model.weights.arithmetic)
    self.arithmetic = arithmetic
    let isSparse =
      isEmbeddingSparse
      ?? Self.isSparse(model.weights.shape, model.batch, kind, weightDecay: weightDecay, method)
    let sparsePrefix = isSparse ? layout["encoder.weight"]?.range.upperBound ?? 0 : 0
    let arena = SegmentedArena(count: layout.count, workers: group.count, sparsePrefix: sparsePrefix)
    self.arena = arena
    segments = arena.segments
    let tree = model.batch.tree
    let tied = model.weights.shape.tied
    tiedRange = tied ? layout["encoder.weight"].map(\.range) : nil
    switch method {
    case .tree:
      let reduction = try TreeReduction(
        group, tree: tree, buffers: model.gradients.map(\.store.values), segments: arena.segments,
        leavingOut: sparsePrefix, arithmetic)
      self.reduction = reduction
      embeddingRows =
        isSparse ? try EmbeddingRows(group, model: model, segments: arena.segments, reduction: reduction) : nil
      tiedReduction = try tiedRange.map { range in
        try TreeReduction(
          group, tree: tree, buffers: model.gradients.compactMap(\.tiedEmbedding),
          segments: arena.segments(within: range), arithmetic)
      }
    case .allreduce:
      (reduction, tiedReduction, embeddingRows) = (nil, nil, nil)
    }
    // After a plain allreduce every worker holds the whole gradient and updates all of its weights by itself, as
    // data-parallel trainers commonly do.
    let updatesEverything = method == .allreduce
    keepsWholeSlots = updatesEverything || group.count == 1
    optimizer = try Optimizer(
      kind, weightDecay: weightDecay, segment: updatesEverything ? 0..<layout.count : arena.segments[group.rank],
      arithmetic)

    var ranges: [Range<Int>] = []
    var next = 0
    for worker in 0..<group.count {
      let count = arena.blockCount(of: worker) + tree.shards(ofWorker: worker, of: group.count).count + Self.flags
      ranges.append(next..<(next + count))
      next += count
    }
    recordRanges = ranges
    recordBytes = Self.bytes(of: ranges, Double.self)
    segmentBytes = Self.bytes(of: arena.segments.map { $0.clamped(to: sparsePrefix..<Int.max) }, Float.self)
    records = .allocate(capacity: next)
    records.initialize(repeating: 0)
    losses = .allocate(capacity: tree.count)
    losses.initialize(repeating: 0)
  }

  /// Whether the embedding's rows are worth telling apart: the vocabulary is large against a window, and the update
  /// rule leaves rows with a zero gradient as they are. Follows from the configuration alone.
  static func isSparse(
    _ shape: ModelShape, _ batch: LocalBatch, _ kind: OptimizerKind, weightDecay: Double,
    _ method: TrainingConfiguration.Exchange
  ) -> Bool {
    let leavesZerosAlone =
      switch kind {
      case .sgd(momentum: 0), .adagrad: weightDecay == 0
      default: false
      }
    return method == .tree && leavesZerosAlone && !shape.tied
      && 2 * batch.window * batch.globalStreams <= shape.vocabularySize
  }

  deinit {
    records.deallocate()
    losses.deallocate()
  }

  /// The whole exchange after ``LanguageModel/trainingPass(_:step:)``; collective.
  ///
  /// - Parameters:
  ///   - scale: what turns summed gradients into the gradient: 1 / tokens, or 1 / streams.
  ///   - failure: an error of this worker's forward or backward pass. Then every worker throws it.
  ///   - skipsNonFinite: whether an outcome that is not finite leaves weights, slots and the count of updates as they
  ///     are. All workers decide alike, since all have the same outcome.
  ///   - check: sees the outcome before any weight changes, the same on every worker; what it throws stops the step.
  package func step(
    scale: Double, clipNorm: Double, learningRate: Double, failure: (any Error)? = nil, skipsNonFinite: Bool = false,
    check: (StepOutcome) throws -> Void
  ) throws -> StepOutcome {
    let timer = model.timer
    timer?.enter(.exchange)
    let (gradient, squaredFrom) = try reduceSegment()
    timer?.enter(.update)
    let outcome: StepOutcome
    do {
      outcome = try gatherRecords(gradient, squaredFrom: squaredFrom, scale: scale, failure: failure)
      try check(outcome)
    } catch {
      clearEmbedding()
      throw error
    }
    if skipsNonFinite, !outcome.isFinite {
      clearEmbedding()
      timer?.enter(.other)
      return outcome
    }
    let factor = GradientNorm.clippingFactor(norm: outcome.gradientNorm, limit: clipNorm)
    let segmentStart = arena.segments[group.rank].lowerBound
    optimizer.step(
      weights: model.weights.parameters.values, gradients: gradient - segmentStart + optimizer.segment.lowerBound,
      gradientScale: Float(scale * factor), learningRate: learningRate,
      only: embeddingRows.map { ($0.pieces, behind: $0.range.upperBound) }
    ) { [segment = optimizer.segment, weights = model.weights] end, previous in
      timer?.enter(.packing)
      weights.packBlocks(of: segment, completedBy: end, since: previous)
      timer?.enter(.update)
    }
    clearEmbedding()
    try distributeWeights()
    timer?.enter(.other)
    return outcome
  }

  /// Makes the embedding's part of the summed gradient zero again, where it stands in the model's own: that counts on
  /// rows of tokens that it has not seen to stay zero.
  private func clearEmbedding() {
    if method == .allreduce {
      guard group.count > 1, tiedRange == nil else { return }
      guard let embedding = model.weights.parameters.layout["encoder.weight"] else { return }
      model.gradients[0].store.values[embedding.range].update(repeating: 0)
    } else if let embeddingRows {
      embeddingRows.clear()
    } else if let tiedReduction {
      tiedReduction.clear(pieces: [tiedReduction.segment])
    } else if let reduction, let embedding = model.weights.parameters.layout["encoder.weight"] {
      reduction.clear(pieces: [embedding.range.clamped(to: reduction.segment)])
    }
  }

  /// The summed gradient of this worker's segment, and the first of its blocks whose sum of squares is in the record
  /// already, as are those behind it: they were taken while the blocks were in cache.
  private func reduceSegment() throws -> (gradient: UnsafeMutablePointer<Float>, squaredFrom: Int) {
    let own = arena.segments[group.rank]
    let blocks = arena.blockCount(of: group.rank)
    if let reduction {
      try embeddingRows?.gather()
      // What stands before this place is added up later.
      let prefix = embeddingRows?.range.upperBound ?? tiedRange?.upperBound ?? 0
      let first = min(GradientNorm.blocks(of: max(0, prefix - own.lowerBound)), blocks)
      let squares = records.baseAddress! + recordRanges[group.rank].lowerBound
      try reduction.reduce { end, previous in
        let complete = end == own.upperBound ? blocks : (end - own.lowerBound) / GradientNorm.block
        let before = max(first, (previous - own.lowerBound) / GradientNorm.block)
        guard before < complete else { return }
        GradientNorm.blockSums(reduction.result, count: own.count, blocks: before..<complete, into: squares, arithmetic)
      }
      try embeddingRows?.reduce()
      if let tiedReduction, let tiedRange {
        try tiedReduction.reduce()
        let offset = tiedRange.lowerBound + tiedReduction.segment.lowerBound - own.lowerBound
        arithmetic.add(tiedReduction.result, to: reduction.result + offset, count: tiedReduction.segment.count)
      }
      return (reduction.result, group.count == 1 ? blocks : first)
    }
    let total = model.gradients[0].store.values
    for (index, gradient) in model.gradients.enumerated() {
      if index > 0 { arithmetic.add(gradient.store.values.pointer, to: total.pointer, count: total.count) }
      if let tied = gradient.tiedEmbedding, let tiedRange {
        arithmetic.add(tied.pointer, to: total.pointer + tiedRange.lowerBound, count: tied.count)
      }
    }
    try group.allReduceSum(total.buffer)
    return (total.pointer + own.lowerBound, blocks)
  }

  /// Summed cross-entropy of each gradient shard in the last step, in nats: of all workers.
  package var shardLosses: UnsafeBufferPointer<Double> { UnsafeBufferPointer(losses) }

  /// Tells all workers the sums of squares, losses and flags of each.
  private func gatherRecords(
    _ gradient: UnsafeMutablePointer<Float>, squaredFrom: Int, scale: Double, failure: (any Error)?
  ) throws -> StepOutcome {
    let rank = group.rank
    let own = recordRanges[rank]
    let blocks = arena.blockCount(of: rank)
    let record = records.baseAddress! + own.lowerBound
    GradientNorm.blockSums(
      gradient, count: arena.segments[rank].count, blocks: 0..<squaredFrom, into: record, arithmetic,
      skipping: embeddingRows.map { rows in
        (
          zeros: rows.range.upperBound - arena.segments[rank].lowerBound, except: rows.pieces,
          from: arena.segments[rank].lowerBound
        )
      })
    for (index, loss) in model.shardLosses.enumerated() { record[blocks + index] = loss }
    records[own.upperBound - 2] = StopSignal.received == nil ? 0 : 1
    records[own.upperBound - 1] = failure == nil ? 0 : 1
    try gatherAll()

    var outcome = StepOutcome()
    var failed = false
    var squares = 0.0
    var shard = 0
    for (worker, range) in recordRanges.enumerated() {
      let losses = (range.lowerBound + arena.blockCount(of: worker))..<(range.upperBound - Self.flags)
      for index in range.lowerBound..<losses.lowerBound { squares += records[index] }
      for index in losses {
        self.losses[shard] = records[index]
        shard += 1
      }
      outcome.stopRequested = outcome.stopRequested || records[range.upperBound - 2] != 0
      failed = failed || records[range.upperBound - 1] != 0
    }
    if failed { try group.agree(failure) }
    outcome.gradientNorm = squares.squareRoot() * scale
    outcome.lossSum = model.batch.tree.sum(UnsafeBufferPointer(losses))
    return outcome
  }

  private func gatherAll() throws {
    guard group.count > 1 else { return }
    try group.allGather(UnsafeMutableRawBufferPointer(records), segments: recordBytes)
  }

  private static func bytes<Value>(of ranges: [Range<Int>], _ type: Value.Type) -> [Range<Int>] {
    let width = MemoryLayout<Value>.stride
    return ranges.map { ($0.lowerBound * width)..<($0.upperBound * width) }
  }

  /// Gives every worker all new weights, in plain and packed form.
  private func distributeWeights() throws {
    let timer = model.timer
    timer?.enter(.exchange)
    if sharesWeights {
      try group.barrier()
      timer?.enter(.packing)
      model.weights.packRest(between: segments, rank: group.rank)
      timer?.enter(.exchange)
      try group.barrier()
      return
    }
    if method == .tree, group.count > 1 {
      try group.allGather(
        UnsafeMutableRawBufferPointer(model.weights.parameters.values.buffer), segments: segmentBytes)
      try embeddingRows?.distribute()
    }
    timer?.enter(.packing)
    model.weights.packRest(outside: optimizer.segment)
  }
}
