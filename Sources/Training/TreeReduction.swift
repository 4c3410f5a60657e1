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
  private let received: [[FloatBuffer]]  // [worker][node] of one segment; empty where memory is shared
  private let rounds: [Round]  // empty where memory is shared
  private var sources: [[UnsafePointer<Float>]]  // [worker][node], at the segment's first float
  private let partialSums: FloatBuffer
  /// The part of the segment that ``reduce()`` sums up.
  private let dense: Range<Int>
  private let sharesMemory: Bool

  /// Floats that pass through the tree at a time: the levels' partial sums stay in the first-level cache.
  private static let chunk = 1024

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

  /// Collective.
  ///
  /// - Parameters:
  ///   - buffers: this worker's subtree sums, one a node of ``nodes(ofWorker:of:tree:)``; all of one size.
  ///   - segments: who gets what.
  ///   - prefix: floats at the front of the buffers that ``reduce()`` leaves out and ``reduce(pieces:)`` is for.
  package init(
    _ group: any WorkerGroup, tree: ShardTree, buffers: [FloatBuffer], segments: [Range<Int>],
    leavingOut prefix: Int = 0
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
      (result, received, rounds, sources, sharesMemory) = (nil, [], [], [], true)
      return
    }
    result = try FloatBuffer(count: segment.count)

    // A table of this worker's buffers, which the others read where memory is shared; it lives as long as the run.
    let table = UnsafeMutablePointer<UnsafeMutablePointer<Float>>.allocate(capacity: max(own.count, 1))
    for (index, buffer) in own.enumerated() { (table + index).initialize(to: buffer.pointer) }
    let first = segment.lowerBound
    if let tables = try group.share(UnsafeMutableRawPointer(table)) {
      (received, rounds) = ([], [])
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
      let (rank, length) = (group.rank, segment.count)
      let inbox = try nodesOfWorkers.enumerated().map { worker, nodes in
        worker == rank ? [] : try nodes.map { _ in try FloatBuffer(count: length) }
      }
      received = inbox
      rounds = Self.rounds(
        rank: rank, own: buffers, inbox: inbox, nodesOfWorkers, segments.map { $0.clamped(to: prefix..<Int.max) },
        inboxStart: first)
      sources = nodesOfWorkers.indices.map { worker in
        worker == rank
          ? buffers.map { UnsafePointer($0.pointer + first) } : inbox[worker].map { UnsafePointer($0.pointer) }
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
    } else {
      for round in rounds { try group.exchange(sending: round.sending, receiving: round.receiving) }
    }
    sumUp(dense, into: result)
    return result.pointer
  }

  /// Sums up single pieces of the segment, in floats of the buffers, after ``reduce()`` and into the same memory. What
  /// workers of other processes have there must be in ``inbox(ofWorker:node:)``.
  func reduce(pieces: [Range<Int>]) {
    guard let result else { return }
    for piece in pieces { sumUp(piece, into: result) }
  }

  /// Makes pieces that were summed up zero again, here and in the inboxes.
  func clear(pieces: [Range<Int>]) {
    guard let result else { return }
    for piece in pieces {
      let offset = piece.lowerBound - segment.lowerBound
      (result.pointer + offset).update(repeating: 0, count: piece.count)
      for inbox in received.joined() { (inbox.pointer + offset).update(repeating: 0, count: piece.count) }
    }
  }

  /// Where a subtree sum of another process's worker is kept: its part of this worker's segment.
  func inbox(ofWorker worker: Int, node: Int) -> FloatBuffer { received[worker][node] }

  /// Whether workers read one another's sums in place.
  var readsInPlace: Bool { sharesMemory }

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

  /// One round for each subtree that a worker has at most; workers with fewer send nothing in the later rounds.
  private static func rounds(
    rank: Int, own: [FloatBuffer], inbox: [[FloatBuffer]], _ nodesOfWorkers: [[ShardTree.Node]],
    _ segments: [Range<Int>], inboxStart: Int
  ) -> [Round] {
    // Empty where the whole segment is left out; an inbox then has no such place.
    let mine = segments[rank]
    let kept = mine.isEmpty ? 0..<0 : (mine.lowerBound - inboxStart)..<(mine.upperBound - inboxStart)
    let nothing = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    let count = nodesOfWorkers.map(\.count).max() ?? 0
    return (0..<count).map { round in
      var sending = [UnsafeRawBufferPointer](repeating: UnsafeRawBufferPointer(nothing), count: segments.count)
      var receiving = [UnsafeMutableRawBufferPointer](repeating: nothing, count: segments.count)
      for (worker, segment) in segments.enumerated() where worker != rank {
        if round < own.count { sending[worker] = UnsafeRawBufferPointer(own[round][segment]) }
        if round < inbox[worker].count {
          receiving[worker] = UnsafeMutableRawBufferPointer(inbox[worker][round][kept])
        }
      }
      return Round(sending: sending, receiving: receiving)
    }
  }
}
