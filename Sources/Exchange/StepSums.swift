import Parameters
import Sharding
import Signals
import Workers

/// What the workers tell one another at each step: sums of squares of their norm blocks, losses of their shards, and
/// whether one is to stop or has failed.
final class StepSums {
  /// Where a worker's values stand.
  private struct Record {
    let squares: Range<Int>
    let losses: Range<Int>
    let stop: Int
    let failure: Int

    var bytes: Range<Int> {
      let width = MemoryLayout<Double>.stride
      return (squares.lowerBound * width)..<((failure + 1) * width)
    }

    init(from start: Int, blocks: Int, shards: Int) {
      squares = start..<(start + blocks)
      losses = squares.upperBound..<(squares.upperBound + shards)
      stop = losses.upperBound
      failure = stop + 1
    }
  }

  /// Summed cross-entropy of each gradient shard, of all workers.
  private(set) var shardLosses: [Double]
  private let group: any WorkerGroup
  private let records: [Record]
  private let values: Buffer<Double>
  private let firstBlock: Int

  init(_ group: any WorkerGroup, _ ownership: Ownership, _ plan: BatchPlan) {
    self.group = group
    var (records, next) = ([Record](), 0)
    for worker in 0..<group.count {
      let record = Record(
        from: next, blocks: ownership.blocks(of: worker).count, shards: plan.shards(of: worker).count)
      records.append(record)
      next = record.failure + 1
    }
    self.records = records
    values = Buffer(repeating: 0, count: next)
    firstBlock = ownership.blocks(of: group.rank).lowerBound
    shardLosses = Array(repeating: 0, count: plan.tree.count)
  }

  /// Notes the sum of squares of one of this worker's norm blocks.
  func note(squares: Double, ofBlock block: Int) {
    values[records[group.rank].squares.lowerBound + block - firstBlock] = squares
  }

  /// Tells all workers the records of each, and returns what they come to; collective.
  ///
  /// - Parameter losses: the loss sums of this worker's shards, or the error of its pass; then every worker throws it.
  func outcome(_ losses: Result<[Double], any Error>, _ tree: ShardTree, _ update: Update) throws -> StepOutcome {
    let own = records[group.rank]
    values[own.stop] = StopSignal.received == nil ? 0 : 1
    var failure: (any Error)?
    switch losses {
    case .success(let losses): for (place, loss) in zip(own.losses, losses) { values[place] = loss }
    case .failure(let error): failure = error
    }
    values[own.failure] = failure == nil ? 0 : 1
    if group.count > 1 {
      try group.allGather(UnsafeMutableRawBufferPointer(values.values), segments: records.map(\.bytes))
    }
    var squares = 0.0
    for place in records.lazy.flatMap(\.squares) { squares += values[place] }
    for (shard, place) in records.lazy.flatMap(\.losses).enumerated() { shardLosses[shard] = values[place] }
    if records.contains(where: { values[$0.failure] != 0 }) { try group.agree(failure) }
    return StepOutcome(
      lossSum: tree.sum(shardLosses), gradientNorm: squares.squareRoot() * update.scale,
      stopRequested: records.contains { values[$0.stop] != 0 })
  }
}
