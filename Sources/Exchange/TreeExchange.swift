import Interfaces
import Kernels
import Optimizers
import Parameters
import Sharding
import Workers

/// The exchange that gives the same bits on any number of workers.
///
/// Reduce-scatter along the fixed tree → squared norms of fixed blocks, gathered → each worker updates the segment that
/// it owns (the optimiser's slots exist only there) → all-gather of the new weights.
package final class TreeExchange: GradientExchange {
  package let optimizer: Optimizer
  package let ownership: Ownership
  package let sharesWeights: Bool
  package var keepsWholeSlots: Bool { group.count == 1 }
  package var shardLosses: [Double] { sums.shardLosses }

  private let group: any WorkerGroup
  private let plan: BatchPlan
  private let weights: PackedParameters
  private let addends: [Addend]
  private let gradients: [SubtreeGradient]
  private let workspace: Workspace
  private let sums: StepSums
  private let gradient: SegmentGradient
  /// By addend.
  private let reductions: [Reduction]
  /// Parts of the arena whose new values travel as a whole, where workers hold weights of their own.
  private let travellingParts: [Range<Int>]
  /// By norm block of this worker: whether its sum of squares has been noted in this step.
  private var isSquared: [Bool]
  private var announced = 0

  private enum Reduction {
    case dense(TreeReduction)
    case rows(RowSums)
  }

  /// Floats that are updated at a time, so that packing finds them in the second-level cache.
  static let stretch = 64 << 10

  /// Collective.
  ///
  /// - Parameters:
  ///   - model: whose gradients are exchanged. Where workers share memory they are made of the group's
  ///     ``WorkerGroup/floats(_:)``, and there is no other exchange: memory is shared once.
  ///   - sharesWeights: whether all workers have the same weights in memory.
  package init(
    _ group: any WorkerGroup, _ model: any GradientModel, _ weights: PackedParameters, _ plan: BatchPlan,
    _ rule: UpdateRule, weightDecay: Double, sharesWeights: Bool, _ workspace: Workspace
  ) throws {
    (self.group, self.plan, self.weights, self.workspace) = (group, plan, weights, workspace)
    (addends, gradients) = (model.addends, model.gradients)
    self.sharesWeights = sharesWeights
    let light = Self.rowwiseParameters(addends, rule, weightDecay: weightDecay)
    let ownership = Ownership(weights.layout, workers: group.count, light: light)
    self.ownership = ownership
    sums = StepSums(group, ownership, plan)
    isSquared = Array(repeating: false, count: ownership.blocks(of: group.rank).count)
    optimizer = try Optimizer(
      rule, weightDecay: weightDecay, segment: ownership.segments[group.rank], weights.arithmetic)
    reductions = try Self.makeReductions(group, plan, gradients, ownership, weights.arithmetic)
    gradient = try SegmentGradient(
      Self.parts(addends, reductions, ownership.segments[group.rank]), longest: max(Ownership.block, Self.stretch))
    travellingParts = Self.parts(of: 0..<weights.layout.count, without: light.map(\.range))
  }

  /// Parameters whose untouched rows a step leaves as they are: those that have listed rows only, under a rule that a zero
  /// gradient does not move.
  package static func rowwiseParameters(_ addends: [Addend], _ rule: UpdateRule, weightDecay: Double) -> [Parameter] {
    guard rule.leavesZerosAlone, weightDecay == 0 else { return [] }
    let dense = addends.filter { $0.rows == .all }.map(\.parameter)
    return addends.filter { $0.rows == .listed && !dense.contains($0.parameter) }.map(\.parameter)
  }

  private static func makeReductions(
    _ group: any WorkerGroup, _ plan: BatchPlan, _ gradients: [SubtreeGradient], _ ownership: Ownership,
    _ arithmetic: Arithmetic
  ) throws -> [Reduction] {
    let tree = ReductionPlan(plan)
    let addends = gradients[0].addends
    let inPlace = group.count == 1 || group.sharesMemory
    let all = group.count > 1 && group.sharesMemory ? try group.share(gradients.flatMap(\.values)) : nil
    let longest = addends.map { ownership.parts(of: $0.parameter)[group.rank].count }.max() ?? 0
    let inbox = try tree.subtrees.enumerated().map { worker, nodes in
      worker == group.rank || inPlace
        ? [] : try nodes.map { _ in try FloatBuffer(count: min(TreeReduction.pieceFloats, longest)) }
    }
    return try addends.enumerated().map { index, addend in
      let own = gradients.map { $0.values[index] }
      let shared = all?.map { values in
        stride(from: index, to: values.count, by: addends.count).map { values[$0] }
      }
      switch addend.rows {
      case .all:
        let peers: TreeReduction.Peers = inPlace ? .inPlace(shared ?? [own]) : .inbox(inbox)
        return .dense(
          try TreeReduction(
            group, tree, own: own, peers, parts: ownership.parts(of: addend.parameter), arithmetic))
      case .listed:
        return .rows(
          try RowSums(group, plan, tree, gradients, addend: index, shared: shared, ownership, arithmetic))
      }
    }
  }

  /// Where the summed gradient of each trained parameter stands in a segment.
  private static func parts(
    _ addends: [Addend], _ reductions: [Reduction], _ segment: Range<Int>
  ) -> [SegmentGradient.Part] {
    var parts: [Int: SegmentGradient.Part] = [:]
    for (addend, reduction) in zip(addends, reductions) {
      let range = addend.parameter.range.clamped(to: segment)
      guard !range.isEmpty else { continue }
      switch reduction {
      case .dense(let reduction):
        parts[addend.parameter.index] = .init(range: range, storage: .dense(reduction.result))
      case .rows(let rows):
        // Rows of a parameter that has a dense addend are added to that.
        if parts[addend.parameter.index] == nil {
          parts[addend.parameter.index] = .init(range: range, storage: .rows(rows))
        }
      }
    }
    return parts.values.sorted { $0.range.lowerBound < $1.range.lowerBound }
  }

  /// What is left of a range without some parts of it, in order.
  private static func parts(of range: Range<Int>, without holes: [Range<Int>]) -> [Range<Int>] {
    var (left, start) = ([Range<Int>](), range.lowerBound)
    for hole in holes.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if start < hole.lowerBound { left.append(start..<hole.lowerBound) }
      start = hole.upperBound
    }
    return start < range.upperBound ? left + [start..<range.upperBound] : left
  }

  // The places where lists and gradients can be sent early, and new weights be gathered late.

  package func didList(_ addend: Int) { precondition(addends[addend].rows == .listed, "rows of a dense addend") }

  package func willRead(_ parameter: Parameter) {}

  package func didFinish(_ addend: Int) {
    precondition(addend == announced, "addend \(addend) finished before \(announced)")
    announced += 1
  }

  package func settle() {}

  package func complete(
    _ update: Update, losses: Result<[Double], any Error>, decide: (StepOutcome) throws -> Bool
  ) throws -> StepOutcome {
    if case .success = losses { precondition(announced == addends.count, "a pass that did not finish its gradients") }
    announced = 0
    workspace.enter(.exchange)
    try reduce()
    workspace.enter(.update)
    squareRest()
    let outcome = try sums.outcome(losses, plan.tree, update)
    defer { workspace.enter(.other) }
    guard try decide(outcome) else { return outcome }
    let factor = GradientNorm.clippingFactor(norm: outcome.gradientNorm, limit: update.clipNorm)
    optimizer.beginStep(gradientScale: Float(update.scale * factor), learningRate: update.learningRate)
    for part in gradient.parts { self.update(part) }
    try distributeWeights()
    return outcome
  }

  /// Sums up this worker's segment.
  private func reduce() throws {
    for index in isSquared.indices { isSquared[index] = false }
    if group.count > 1, group.sharesMemory { try group.barrier() }
    for (addend, reduction) in zip(addends, reductions) {
      switch reduction {
      case .dense(let reduction):
        let isFinal = addends.filter { $0.parameter == addend.parameter }.count == 1
        let offset = addend.parameter.offset
        let part = addend.parameter.range.clamped(to: ownership.segments[group.rank])
        try reduction.reduce { stretch in
          guard isFinal else { return }
          square(upTo: offset + stretch.upperBound, from: offset + stretch.lowerBound, in: part)
        }
      case .rows(let rows):
        try rows.reduce()
        add(rows)
      }
    }
  }

  /// Adds rows to the sum of the same parameter's dense addend, if it has one.
  private func add(_ rows: RowSums) {
    for part in gradient.parts {
      guard case .dense(let values) = part.storage, let piece = rows.pieces.first, part.range.overlaps(piece.range)
      else { continue }
      for piece in rows.pieces {
        weights.arithmetic.add(
          piece.values, to: values + piece.range.lowerBound - part.range.lowerBound, count: piece.range.count)
      }
    }
  }

  /// Notes the squares of the norm blocks that end in a stretch and lie in one part, while they are in cache.
  private func square(upTo end: Int, from start: Int, in part: Range<Int>) {
    let first = max(start / Ownership.block, (part.lowerBound + Ownership.block - 1) / Ownership.block)
    for block in first..<max(first, end / Ownership.block) { square(block) }
  }

  private func squareRest() {
    for block in ownership.blocks(of: group.rank) where !isSquared[block - firstBlock] { square(block) }
  }

  private func square(_ block: Int) {
    let range = (block * Ownership.block)..<min((block + 1) * Ownership.block, weights.layout.count)
    let squares =
      gradient.isUntouched(range)
      ? 0 : weights.arithmetic.squaredNorm(gradient.values(range), count: range.count)
    sums.note(squares: squares, ofBlock: block)
    isSquared[block - firstBlock] = true
  }

  private var firstBlock: Int { ownership.blocks(of: group.rank).lowerBound }

  private func update(_ part: SegmentGradient.Part) {
    if case .rows(let rows) = part.storage, optimizer.leavesZerosAlone {
      for piece in rows.pieces { optimizer.update(piece.range, of: weights.store.values, piece.values) }
      return
    }
    for start in stride(from: part.range.lowerBound, to: part.range.upperBound, by: Self.stretch) {
      let range = start..<min(start + Self.stretch, part.range.upperBound)
      workspace.enter(.update)
      optimizer.update(range, of: weights.store.values, gradient.values(range))
      workspace.enter(.packing)
      weights.packBlocks(of: optimizer.segment, completedBy: range.upperBound, since: range.lowerBound)
    }
  }

  /// Gives every worker all new weights, in plain and packed form.
  private func distributeWeights() throws {
    workspace.enter(.exchange)
    if sharesWeights {
      try group.barrier()
      workspace.enter(.packing)
      weights.packRest(between: ownership.segments, rank: group.rank)
      workspace.enter(.exchange)
      return try group.barrier()
    }
    for part in travellingParts {
      try group.allGather(
        UnsafeMutableRawBufferPointer(weights.store.values.buffer),
        segments: ownership.segments.map { segment in
          let own = segment.clamped(to: part)
          let width = MemoryLayout<Float>.stride
          return (own.lowerBound * width)..<(own.upperBound * width)
        })
    }
    for case .rows(let rows) in reductions
    where !travellingParts.contains(where: { $0.contains(rows.parameter.offset) }) {
      try rows.distribute(weights.store.values)
    }
    workspace.enter(.packing)
    weights.packRest(outside: optimizer.segment)
  }
}
