import Kernels
import Parameters
import Workers

/// Reduce-scatter of one addend of all rows along the fixed tree: each worker gets the sum of the part that it owns.
///
/// A direct exchange: a worker sends to each owner the partial sums of its subtrees, and the owner finishes the tree. Each
/// addition is the one that the tree names, whoever makes it. Bytes on the wire, for a power of two of workers:
/// P·(N − 1)/N floats sent by each, as in the first half of a ring allreduce. Workers that share memory read one another's
/// sums in place instead.
///
/// The sum takes the place of the worker's own first subtree: a buffer less to bring into cache and to keep.
final class TreeReduction {
  /// What this worker owns, in floats from the start of the addend.
  let part: Range<Int>
  private let group: any WorkerGroup
  private let arithmetic: Arithmetic
  private let plan: ReductionPlan
  private let own: [FloatBuffer]
  /// What the sources point to: other workers' sums that are read in place, or the inbox.
  private let buffers: [[FloatBuffer]]
  /// Where to read the range that is being summed, by worker and subtree, as if from the part's first float.
  private var sources: [[UnsafePointer<Float>]]
  /// Where messages go; empty where memory is shared.
  private let pieces: [Piece]
  private let partialSums: FloatBuffer

  /// Floats that pass through the tree at a time: the levels' partial sums stay in the first-level cache.
  private static let chunk = 1024
  /// Floats between two calls of `didSum`, which finds them in the second-level cache.
  private static let stretch = 16 * chunk
  /// Floats of one message: what arrives is summed up while it is in cache, yet is long enough for a network.
  package static let pieceFloats = 128 << 10

  /// What other workers' subtrees are read from.
  enum Peers {
    /// Their memory, by worker and subtree.
    case inPlace([[FloatBuffer]])
    /// Messages, received by worker and subtree.
    case inbox([[FloatBuffer]])
  }

  /// What goes to each worker in one exchange, and where what comes from it is kept.
  private struct Round {
    let sending: [UnsafeRawBufferPointer]
    let receiving: [UnsafeMutableRawBufferPointer]
  }

  /// A piece of every worker's part: one round for each subtree that a worker has at most.
  private struct Piece {
    /// Of this worker's part.
    let range: Range<Int>
    let rounds: [Round]
  }

  /// - Parameters:
  ///   - own: this worker's sums, by subtree.
  ///   - parts: who owns what, in floats from the start of the addend.
  ///   - pieceFloats: floats of a message, and of a buffer of the inbox; a test gives fewer.
  init(
    _ group: any WorkerGroup, _ plan: ReductionPlan, own: [FloatBuffer], _ peers: Peers, parts: [Range<Int>],
    pieceFloats: Int = TreeReduction.pieceFloats, _ arithmetic: Arithmetic
  ) throws {
    precondition(!own.isEmpty, "a worker without shards")
    (self.group, self.plan, self.own, self.arithmetic) = (group, plan, own, arithmetic)
    let part = parts[group.rank]
    self.part = part
    partialSums = try FloatBuffer(count: Self.chunk * (plan.levels + 1))
    func pointers(_ buffers: [FloatBuffer]) -> [UnsafePointer<Float>] {
      buffers.map { UnsafePointer($0.pointer + part.lowerBound) }
    }
    switch peers {
    case .inPlace(let buffers):
      self.buffers = buffers
      pieces = []
      sources = buffers.map(pointers)
    case .inbox(let inbox):
      buffers = inbox
      pieces = Self.pieces(of: pieceFloats, rank: group.rank, own: own, inbox: inbox, plan.rounds, parts)
      sources = inbox.enumerated().map { worker, inbox in pointers(worker == group.rank ? own : inbox) }
    }
  }

  /// The part's sum after ``reduce(didSum:)``.
  var result: UnsafeMutablePointer<Float> { own[0].pointer + part.lowerBound }

  /// Sums up the part; collective where messages are exchanged. Workers that share memory have passed a barrier since they
  /// wrote their sums, and pass another before they write them again.
  ///
  /// - Parameter didSum: called with the end of each stretch that is complete and its start, in floats from the start of
  ///   the addend.
  func reduce(didSum: (_ range: Range<Int>) -> Void) throws {
    guard group.count > 1 else { return }
    if pieces.isEmpty { return sumUp(part, didSum) }
    for piece in pieces {
      for round in piece.rounds { try group.exchange(sending: round.sending, receiving: round.receiving) }
      // The inbox holds this piece: its first float stands where the part's first would.
      for (worker, buffers) in buffers.enumerated() where worker != group.rank {
        for (index, buffer) in buffers.enumerated() {
          sources[worker][index] = UnsafePointer(buffer.pointer) - (piece.range.lowerBound - part.lowerBound)
        }
      }
      sumUp(piece.range, didSum)
    }
  }

  private func sumUp(_ range: Range<Int>, _ didSum: (_ range: Range<Int>) -> Void) {
    var begin = range.lowerBound
    for start in stride(from: range.lowerBound, to: range.upperBound, by: Self.chunk) {
      let (offset, end) = (start - part.lowerBound, min(start + Self.chunk, range.upperBound))
      let total = evaluate(plan.sum, offset: offset, count: end - start, depth: 0)
      (result + offset).update(from: total, count: end - start)
      if end - begin == Self.stretch || end == range.upperBound {
        didSum(begin..<end)
        begin = end
      }
    }
  }

  /// The sum's floats at `offset`: in place where a worker holds them, else in the partial sums of `depth`.
  private func evaluate(_ sum: ReductionPlan.Sum, offset: Int, count: Int, depth: Int) -> UnsafePointer<Float> {
    switch sum {
    case .subtree(let worker, let index):
      return sources[worker][index] + offset
    case .both(let left, let right):
      let a = evaluate(left, offset: offset, count: count, depth: depth)
      let b = evaluate(right, offset: offset, count: count, depth: depth + 1)
      let partial = partialSums.pointer + depth * Self.chunk
      arithmetic.sum(a, b, into: partial, count: count)
      return UnsafePointer(partial)
    }
  }

  /// The exchanges of all parts, a piece of each at a time. Workers with fewer subtrees or shorter parts send nothing in
  /// the later rounds.
  private static func pieces(
    of pieceFloats: Int, rank: Int, own: [FloatBuffer], inbox: [[FloatBuffer]], _ rounds: Int, _ parts: [Range<Int>]
  ) -> [Piece] {
    let nothing = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    let longest = parts.map(\.count).max() ?? 0
    return stride(from: 0, to: longest, by: pieceFloats).map { start in
      let ranges = parts.map { part in
        ((part.lowerBound + start)..<(part.lowerBound + start + pieceFloats)).clamped(to: part)
      }
      let rounds = (0..<rounds).map { round in
        var sending = [UnsafeRawBufferPointer](repeating: UnsafeRawBufferPointer(nothing), count: parts.count)
        var receiving = [UnsafeMutableRawBufferPointer](repeating: nothing, count: parts.count)
        for (worker, range) in ranges.enumerated() where worker != rank {
          if round < own.count { sending[worker] = UnsafeRawBufferPointer(own[round][range]) }
          if round < inbox[worker].count {
            receiving[worker] = UnsafeMutableRawBufferPointer(inbox[worker][round][0..<ranges[rank].count])
          }
        }
        return Round(sending: sending, receiving: receiving)
      }
      return Piece(range: ranges[rank], rounds: rounds)
    }
  }
}
