import Parameters
import Sharding
import Signals
import Workers

/// What the workers tell one another at each step: sums of squares of their norm blocks, losses of their shards, and
/// whether one is to stop or has failed.
final class StepRecords {
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

  /// What all workers' records come to.
  struct Totals {
    var squares = 0.0
    var stopRequested = false
    var failed = false
  }

  /// Tells all workers the records of each; collective.
  func gather(losses: Result<[Double], any Error>) throws -> Totals {
    let own = records[group.rank]
    values[own.stop] = StopSignal.received == nil ? 0 : 1
    switch losses {
    case .success(let losses):
      for (place, loss) in zip(own.losses, losses) { values[place] = loss }
      values[own.failure] = 0
    case .failure:
      values[own.failure] = 1
    }
    if group.count > 1 {
      try group.allGather(UnsafeMutableRawBufferPointer(values.values), segments: records.map(\.bytes))
    }
    var totals = Totals()
    var shard = 0
    for record in records {
      for place in record.squares { totals.squares += values[place] }
      for place in record.losses {
        shardLosses[shard] = values[place]
        shard += 1
      }
      totals.stopRequested = totals.stopRequested || values[record.stop] != 0
      totals.failed = totals.failed || values[record.failure] != 0
    }
    return totals
  }
}
