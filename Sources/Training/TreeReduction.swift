import Arena
import Kernels
import Workers

/// Reduce-scatter along the fixed tree over gradient shards: each worker gets the sum of its segment.
///
/// A direct exchange: a worker sends to each owner the partial sums of the maximal subtrees inside its shard range, and
/// the owner finishes the tree. Each addition is the one that the tree names, whoever makes it. Bytes on the wire, for a
/// power of two of workers: P·(N − 1)/N floats sent by each, as in the first half of a ring allreduce. Workers that
/// share memory read one another's sums in place instead.
package final class TreeReduction {
  /// This worker's segment, in floats from the start of the buffers.
  package let segment: Range<Int>

  private let group: any WorkerGroup
  private let own: [FloatBuffer]
  private let sum: Sum
  private let result: FloatBuffer?  // nil for a single worker, whose own sum is the whole tree
  /// What other processes send, [worker][node]: one piece, and the whole of what ``reduce()`` leaves out.
  private let pieceInbox: [[FloatBuffer]]
  private let prefixInbox: [[FloatBuffer]]
  private let pieces: [Piece]  // empty where memory is shared
  /// Where to read the sums of the range at hand, [worker][node], as if from the segment's first float.
  private var sources: [[UnsafePointer<Float>]]
  private let partialSums: FloatBuffer
  /// The part of the segment that ``reduce()`` sums up.
  private let dense: Range<Int>
  private let sharesMemory: Bool

  /// Floats that pass through the tree at a time: the levels' partial sums stay in the first-level cache.
  private static let chunk = 1024
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
  ///   - buffers: this worker's subtree sums, one a node of ``nodes(ofWorker:of:tree:)``; all of one size.
  ///   - segments: who gets what.
  ///   - prefix: floats at the front of the buffers that ``reduce()`` leaves out and ``reduce(pieces:)`` is for.
  ///   - pieceFloats: another length of messages; for tests.
  package init(
    _ group: any WorkerGroup, tree: ShardTree, buffers: [FloatBuffer], segments: [Range<Int>],
    leavingOut prefix: Int = 0, pieceFloats: Int = TreeReduction.pieceFloats
  ) throws {
    self.group = group
    own = buffers
    segment = segments[group.rank]
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
      (result, pieceInbox, prefixInbox, pieces, sources, sharesMemory) = (nil, [], [], [], [], true)
      return
    }
    result = try FloatBuffer(count: segment.count)

    // A table of this worker's buffers, which the others read where memory is shared; it lives as long as the run.
    let table = UnsafeMutablePointer<UnsafeMutablePointer<Float>>.allocate(capacity: max(own.count, 1))
    for (index, buffer) in own.enumerated() { (table + index).initialize(to: buffer.pointer) }
    let first = segment.lowerBound
    if let tables = try group.share(UnsafeMutableRawPointer(table)) {
      (pieceInbox, prefixInbox, pieces) = ([], [], [])
      sharesMemory = true
      sources = nodesOfWorkers.enumerated().map { worker, nodes in
        let theirs = tables[worker].assumingMemoryBound(to: UnsafeMutablePointer<Float>.self)
        return nodes.indices.map { UnsafePointer(theirs[$0] + first) }
      }
      // Nobody may give its table back before all have read it.
      try group.barrier()
      table.deallocate()
    } else {
      table.deallocate()
      sharesMemory = false
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
  /// - Returns: `segment.count` floats, valid until the next call.
  package func reduce() throws -> UnsafeMutablePointer<Float> {
    guard let result else { return own[0].pointer }
    if sharesMemory {
      try group.barrier()
      sumUp(dense, into: result)
    }
    for piece in pieces {
      for round in piece.rounds { try group.exchange(sending: round.sending, receiving: round.receiving) }
      read(from: pieceInbox, start: piece.range.lowerBound)
      sumUp(piece.range, into: result)
    }
    return result.pointer
  }

  /// Sums up single pieces of the segment, in floats of the buffers, after ``reduce()`` and into the same memory. What
  /// workers of other processes have there must be in ``inbox(ofWorker:node:)``.
  func reduce(pieces: [Range<Int>]) {
    guard let result else { return }
    read(from: prefixInbox, start: segment.lowerBound)
    for piece in pieces { sumUp(piece, into: result) }
  }

  /// Makes pieces that were summed up zero again, here and in the inboxes.
  func clear(pieces: [Range<Int>]) {
    guard let result else { return }
    for piece in pieces {
      let offset = piece.lowerBound - segment.lowerBound
      (result.pointer + offset).update(repeating: 0, count: piece.count)
      for inbox in prefixInbox.joined() { (inbox.pointer + offset).update(repeating: 0, count: piece.count) }
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

  private func sumUp(_ range: Range<Int>, into result: FloatBuffer) {
    for start in stride(from: range.lowerBound, to: range.upperBound, by: Self.chunk) {
      let (offset, count) = (start - segment.lowerBound, min(Self.chunk, range.upperBound - start))
      let total = evaluate(sum, offset: offset, count: count, depth: 0)
      (result.pointer + offset).update(from: total, count: count)
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
      VectorMath.sum(a, b, into: partial, count: count)
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
