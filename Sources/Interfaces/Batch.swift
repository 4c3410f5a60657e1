import Kernels
import Parameters
import Sharding

/// What one worker computes in a step: the input of a task, and what trainer and evaluator need to know of it.
package final class Batch<Input> {
  package var input: Input
  /// Optimiser steps before this batch.
  package var step = 0
  /// One for each of this worker's sequences.
  package var keys: [SequenceKey] = []
  /// Scored targets over all workers: what sums are divided by.
  package var targets = 0
  /// What has a loss, shard by shard, one list for each of the worker's subtrees.
  package let units: [ShardRows]

  package init(_ input: Input, units: [ShardRows]) { (self.input, self.units) = (input, units) }

  /// Losses of a pass over this batch.
  package var unitCount: Int { units.reduce(0) { $0 + $1.count } }

  /// Adds up the losses of a pass inside each shard of this worker, in order.
  ///
  /// - Parameter nats: one for each unit, in the order of ``units``.
  package func shardSums(_ nats: [Double]) -> [Double] {
    var sums: [Double] = []
    var start = 0
    for subtree in units {
      var begin = 0
      for end in subtree.ends {
        var sum = 0.0
        for place in begin..<Int(end) { sum += nats[start + place] }
        sums.append(sum)
        begin = Int(end)
      }
      start += subtree.count
    }
    return sums
  }
}

/// Where a batch stands in a run.
package struct BatchPosition: Sendable, Equatable {
  package var epoch: Int
  /// The batch of the epoch, from 0.
  package var index: Int
  /// Optimiser steps before it.
  package var step: Int

  package init(epoch: Int, index: Int, step: Int) { (self.epoch, self.index, self.step) = (epoch, index, step) }
}

/// The batches of a split, of one worker: token streams, or buckets of sentences. It may read ahead.
package protocol BatchSource<Input>: AnyObject {
  associatedtype Input

  /// Batches of an epoch, the same on every worker.
  var batchesPerEpoch: Int { get }

  /// An empty batch with room for the largest one.
  func makeBatch() -> Batch<Input>

  /// Targets of a batch over all workers.
  func targets(epoch: Int, index: Int) -> Int

  /// Fills a batch by its position alone, so that a run can be resumed there. Throws what reading the corpus met.
  func fill(_ batch: Batch<Input>, at position: BatchPosition) throws
}
