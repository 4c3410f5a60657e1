import Arena
import Kernels
import Workers

/// Reduce-scatter along the fixed tree over gradient shards: each worker gets the sum of its segment.
///
/// A direct exchange: a worker sends to each owner the partial sums of the maximal subtrees inside its shard range, and
/// the owner finishes the tree. Each addition is the one that the tree names, whoever makes it. Bytes on the wire, for a
/// power of two of workers: P·(N − 1)/N floats sent by each, as in the first half of a ring allreduce. Workers that
/// share memory read one another's sums in place instead.
///
/// The sum takes the place of the worker's own first addend: a buffer less to bring into cache and to keep.
package final class TreeReduction {
  /// This worker's segment, in floats from the start of the buffers.
  package let segment: Range<Int>

  private let group: any WorkerGroup
  private let arithmetic: Arithmetic
  private let own: [FloatBuffer]
  private let sum: Sum
  /// Where the segment's sum is: `segment.count` floats.
  package let result: UnsafeMutablePointer<Float>
  /// What other processes send, [worker][node]: one piece, and the whole of what ``reduce()`` leaves out.
  private let pieceInbox: [[FloatBuffer]]
  private let prefixInbox: [[FloatBuffer]]
  private let pieces: [Piece]  // empty where memory is shared
  /// Where to read the sums of the range at hand, [worker][node], as if from the segment's first float.
  private var sources: [[UnsafePointer<Float>]]
  private let partialSums: FloatBuffer
  private let shared: [[FloatBuffer]]  // what the sources point to; empty where memory is not shared
  /// The part of the segment that ``reduce()`` sums up.
  private let dense: Range<Int>
  private let sharesMemory: Bool

  /// Floats that pass through the tree at a time: the levels' partial sums stay in the first-level cache.
  private static let chunk = 1024
  /// Floats between two calls of `didSum`, which finds them in the second-level cache.
  private static let stretch = 16 * chunk
  /// Floats of one message: what arrives is summed up while it is in cache, yet is long enough for a network.
  package static let pieceFloats = 128 << 10

  /// A sum of the tree: the subtree of some worker, or two sums.
  private indirect enum Sum {
    case subtree(worker: Int, node: Int)
    case both(Sum, Sum)
  }

  /// One exchange: what goes to each worker and where what comes from it is kept.
  private struct Round {
    let sending: [UnsafeRawBufferPointer]
    let receiving: [UnsafeMutableRawBufferPointer]
  }

  /// A part of every segment: one round for each subtree that a worker has at most.
  private struct Piece {
    /// Of this worker's segment, in floats of the buffers.
    let range: Range<Int>
    let rounds: [Round]
  }

  /// Collective.
  ///
  /// - Parameters:
  ///   - buffers: this worker's subtree sums, one a node of the maximal subtrees that cover its shards; all of one size,
  ///     and made by the group's ``WorkerGroup/floats(_:)``.
  ///   - segments: who gets what.
  ///   - prefix: floats at the front of the buffers that ``reduce()`` leaves out and ``reduce(pieces:)`` is for.
  ///   - pieceFloats: another length of messages; for tests.
  package init(
    _ group: any WorkerGroup, tree: ShardTree, buffers: [FloatBuffer], segments: [Range<Int>],
    leavingOut prefix: Int = 0, pieceFloats: Int = TreeReduction.pieceFloats, _ arithmetic: Arithmetic
  ) throws {
    self.arithmetic = arithmetic
    precondition(!buffers.isEmpty, "a worker without shards")
    self.group = group
    own = buffers
    segment = segments[group.rank]
    let first = segment.lowerBound
    result = buffers[0].pointer + first
    dense = max(segment.lowerBound, min(prefix, segment.upperBound))..<segment.upperBound
    let nodesOfWorkers = (0..<group.count).map { worker in
      tree.maximalSubtrees(covering: tree.shards(ofWorker: worker, of: group.count))
    }
    func sum(_ node: ShardTree.Node) -> Sum {
      for (worker, nodes) in nodesOfWorkers.enumerated() {
        if let index = nodes.firstIndex(of: node) { return .subtree(worker: worker, node: index) }
      }
      let (left, right) = tree.children(of: node)
      return right.map { .both(sum(left), sum($0)) } ?? sum(left)
    }
    self.sum = sum(tree.root)
    partialSums = try FloatBuffer(count: Self.chunk * (tree.root.level + 1))
    if group.count == 1 {
      (pieceInbox, prefixInbox, pieces, sources, shared, sharesMemory) = ([], [], [], [], [], true)
      return
    }
    if group.sharesMemory {
      (pieceInbox, prefixInbox, pieces) = ([], [], [])
      sharesMemory = true
      shared = try group.share(buffers)
      sources = shared.map { theirs in theirs.map { UnsafePointer($0.pointer + first) } }
    } else {
      sharesMemory = false
      shared = []
      let rank = group.rank
      func inbox(_ count: Int) throws -> [[FloatBuffer]] {
        try nodesOfWorkers.enumerated().map { worker, nodes in
          worker == rank ? [] : try nodes.map { _ in try FloatBuffer(count: count) }
        }
      }
      let left = segments.map { $0.clamped(to: prefix..<Int.max) }
      let pieceInbox = try inbox(min(pieceFloats, left[rank].count))
      self.pieceInbox = pieceInbox
      prefixInbox = try inbox(segment.clamped(to: 0..<prefix).count)
      pieces = Self.pieces(of: pieceFloats, rank: rank, own: buffers, inbox: pieceInbox, nodesOfWorkers, left)
      sources = nodesOfWorkers.indices.map { worker in
        worker == rank
          ? buffers.map { UnsafePointer($0.pointer + first) } : pieceInbox[worker].map { UnsafePointer($0.pointer) }
      }
    }
  }

  /// Sums up the segment; collective. All workers must have written their buffers before, and none may write them again
  /// before the next collective has returned.
  ///
  /// - Parameter didSum: told, stretch by stretch, how far the sum is there, and how far it was before: places in the
  ///   buffers. Not for a single worker, whose own sum is the whole tree.
  package func reduce(didSum: (_ end: Int, _ previous: Int) -> Void = { _, _ in }) throws {
    guard group.count > 1 else { return }
    if sharesMemory {
      try group.barrier()
      sumUp(dense, didSum)
    }
    for piece in pieces {
      for round in piece.rounds { try group.exchange(sending: round.sending, receiving: round.receiving) }
      read(from: pieceInbox, start: piece.range.lowerBound)
      sumUp(piece.range, didSum)
    }
  }

  /// Sums up single pieces of the segment, in floats of the buffers, after ``reduce()`` and into the same memory. What
  /// workers of other processes have there must be in ``inbox(ofWorker:node:)``.
  func reduce(pieces: [Range<Int>]) {
    guard group.count > 1 else { return }
    read(from: prefixInbox, start: segment.lowerBound)
    for piece in pieces { sumUp(piece) { _, _ in } }
  }

  /// Makes pieces of the segment that were summed up zero again, here and in the inboxes: those of the embedding, whose
  /// gradient counts on rows of tokens that a worker has not seen to stay zero.
  func clear(pieces: [Range<Int>]) {
    guard group.count > 1 else { return }
    for piece in pieces {
      let offset = piece.lowerBound - segment.lowerBound
      (result + offset).update(repeating: 0, count: piece.count)
      for inbox in prefixInbox.joined() where inbox.count > 0 {
        (inbox.pointer + offset).update(repeating: 0, count: piece.count)
      }
    }
  }

  /// Where a subtree sum of another process's worker is kept: this worker's segment of what ``reduce()`` leaves out.
  func inbox(ofWorker worker: Int, node: Int) -> FloatBuffer { prefixInbox[worker][node] }

  /// Whether workers read one another's sums in place.
  var readsInPlace: Bool { sharesMemory }

  /// Lets sums take from `inbox` what other processes have sent; its first float stands at `start` of the buffers.
  private func read(from inbox: [[FloatBuffer]], start: Int) {
    for (worker, nodes) in inbox.enumerated() {
      for (node, buffer) in nodes.enumerated() {
        sources[worker][node] = UnsafePointer(buffer.pointer) - (start - segment.lowerBound)
      }
    }
  }

  private func sumUp(_ range: Range<Int>, _ didSum: (_ end: Int, _ previous: Int) -> Void) {
    var previous = range.lowerBound
    for start in stride(from: range.lowerBound, to: range.upperBound, by: Self.chunk) {
      let (offset, end) = (start - segment.lowerBound, min(start + Self.chunk, range.upperBound))
      let total = evaluate(sum, offset: offset, count: end - start, depth: 0)
      (result + offset).update(from: total, count: end - start)
      if end - previous == Self.stretch || end == range.upperBound {
        didSum(end, previous)
        previous = end
      }
    }
  }

  /// The sum's floats at `offset`: in place where a worker holds them, else in the partial sums of `depth`.
  private func evaluate(_ sum: Sum, offset: Int, count: Int, depth: Int) -> UnsafePointer<Float> {
    switch sum {
    case .subtree(let worker, let node):
      return sources[worker][node] + offset
    case .both(let left, let right):
      let a = evaluate(left, offset: offset, count: count, depth: depth)
      let b = evaluate(right, offset: offset, count: count, depth: depth + 1)
      let partial = partialSums.pointer + depth * Self.chunk
      arithmetic.sum(a, b, into: partial, count: count)
      return UnsafePointer(partial)
    }
  }

  /// The exchanges of all segments, a piece of each at a time. Workers with fewer subtrees or shorter segments send
  /// nothing in the later rounds.
  private static func pieces(
    of pieceFloats: Int, rank: Int, own: [FloatBuffer], inbox: [[FloatBuffer]], _ nodesOfWorkers: [[ShardTree.Node]],
    _ segments: [Range<Int>]
  ) -> [Piece] {
    let nothing = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    let roundCount = nodesOfWorkers.map(\.count).max() ?? 0
    let longest = segments.map(\.count).max() ?? 0
    return stride(from: 0, to: longest, by: pieceFloats).map { start in
      let parts = segments.map { segment in
        let part = (segment.lowerBound + start)..<(segment.lowerBound + start + pieceFloats)
        return part.clamped(to: segment)
      }
      let rounds = (0..<roundCount).map { round in
        var sending = [UnsafeRawBufferPointer](repeating: UnsafeRawBufferPointer(nothing), count: segments.count)
        var receiving = [UnsafeMutableRawBufferPointer](repeating: nothing, count: segments.count)
        for (worker, part) in parts.enumerated() where worker != rank {
          if round < own.count { sending[worker] = UnsafeRawBufferPointer(own[round][part]) }
          if round < inbox[worker].count {
            receiving[worker] = UnsafeMutableRawBufferPointer(inbox[worker][round][0..<parts[rank].count])
          }
        }
        return Round(sending: sending, receiving: receiving)
      }
      return Piece(range: parts[rank], rounds: rounds)
    }
  }
}
