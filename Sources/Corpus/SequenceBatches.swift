import Interfaces
import Kernels
import Parameters
import Sharding

/// In which order the sequences of a split are learnt: batches of about equally long ones.
///
/// Sequences are permuted, cut into pools, sorted by length inside a pool and cut into batches, and the batches are
/// permuted. It all follows from seed and epoch, so a run can be resumed at any batch.
package struct BatchOrder: Sendable {
  /// Sequences of each batch, by number.
  package let batches: [[Int]]

  /// Batches that are sorted together: enough that their sequences are about equally long.
  private static let pool = 50

  /// - Parameters:
  ///   - lengths: tokens of each sequence.
  ///   - size: sequences of a batch; the last one of a pool may have fewer.
  ///   - epoch: nil: sorted by length alone, as for evaluation.
  package init(lengths: [Int], size: Int, seed: UInt64, epoch: Int?) {
    guard let epoch else {
      batches = Self.cut(lengths.indices.sorted { (lengths[$0], $0) < (lengths[$1], $1) }, size)
      return
    }
    let order = Self.permutation(of: lengths.count, seed: seed, epoch: epoch, purpose: 1)
    let sorted = Self.cut(order, size * Self.pool).flatMap { pool in
      Self.cut(pool.sorted { (lengths[$0], $0) < (lengths[$1], $1) }, size)
    }
    batches = Self.permutation(of: sorted.count, seed: seed, epoch: epoch, purpose: 2).map { sorted[$0] }
  }

  private static func cut(_ sequences: [Int], _ size: Int) -> [[Int]] {
    stride(from: 0, to: sequences.count, by: size).map { Array(sequences[$0..<min($0 + size, sequences.count)]) }
  }

  /// A permutation by sorting random keys, each a function of its place.
  private static func permutation(of count: Int, seed: UInt64, epoch: Int, purpose: UInt32) -> [Int] {
    let keys = (0..<count).map { place in
      let words = RandomStream.philox(
        (UInt32(truncatingIfNeeded: place), UInt32(truncatingIfNeeded: place >> 32), UInt32(epoch), purpose),
        key: (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32) ^ 0x0BA7_C4E5))
      return UInt64(words.0) << 32 | UInt64(words.1)
    }
    return keys.indices.sorted { (keys[$0], $0) < (keys[$1], $1) }
  }
}

/// Batches of labelled sentences of one worker.
package final class SequenceBatches: BatchSource {
  /// Of what the batches are drawn.
  package let split: LabelledSplit
  package let batchesPerEpoch: Int
  private let plan: BatchPlan
  private let rank: Int
  private let seed: UInt64?
  private let lengths: [Int]
  private var order: (epoch: Int, batches: BatchOrder)?

  /// - Parameter seed: of the order; nil: sorted by length, as for evaluation.
  package init(_ split: LabelledSplit, _ plan: BatchPlan, rank: Int, seed: UInt64?) {
    (self.split, self.plan, self.rank, self.seed) = (split, plan, rank, seed)
    lengths = split.lengths
    batchesPerEpoch = BatchOrder(lengths: lengths, size: plan.sequences, seed: 0, epoch: nil).batches.count
  }

  private func batch(_ position: (epoch: Int, index: Int)) -> [Int] {
    if order?.epoch != position.epoch {
      let order = BatchOrder(
        lengths: lengths, size: plan.sequences, seed: seed ?? 0, epoch: seed == nil ? nil : position.epoch)
      self.order = (position.epoch, order)
    }
    return order?.batches.batches[position.index] ?? []
  }

  package func targets(epoch: Int, index: Int) -> Int { batch((epoch, index)).reduce(0) { $0 + lengths[$1] } }

  /// Tokens of the longest sequence of a batch, over all workers.
  package func steps(epoch: Int, index: Int) -> Int { batch((epoch, index)).reduce(0) { max($0, lengths[$1]) } }

  package func makeBatch() -> Batch<Sentences> {
    Batch(Sentences(capacity: plan.mostRows(of: rank)), units: plan.rowLists(of: rank))
  }

  package func fill(_ batch: Batch<Sentences>, at position: BatchPosition) throws {
    let global = self.batch((position.epoch, position.index))
    let own = Array(global[plan.sequences(of: rank, in: global.count)])
    batch.step = position.step
    batch.targets = global.reduce(0) { $0 + lengths[$1] }
    let starts = own.map { split.range(of: $0).lowerBound }
    batch.input.fill(lengths: own.map { lengths[$0] }) { sentence, place in
      (split.tokens[starts[sentence] + place], split.labels[starts[sentence] + place])
    }
    batch.keys = batch.input.order.sequences.map {
      SequenceKey(draw: UInt64(position.epoch), sequence: UInt32(own[$0]))
    }
    plan.list(batch.units, of: rank, count: global.count, batch.input.layout, columns: batch.input.order.columns)
  }
}
