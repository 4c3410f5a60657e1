import Interfaces
import Kernels
import Parameters
import Sharding
import Workers

/// The sum of one addend of listed rows along the fixed tree: only the rows that a step touches are exchanged and added.
///
/// A row that a subtree has not touched is zero there, and x + 0 = x for every sum that started from +0, so leaving it out
/// changes no bit.
final class RowSums {
  /// The part of a touched row that this worker owns.
  struct Piece {
    /// In floats of the arena.
    let range: Range<Int>
    let values: UnsafePointer<Float>
  }

  /// What this worker owns of the rows that any worker has touched in this step, in the order of the arena.
  private(set) var pieces: [Piece] = []
  let parameter: Parameter

  private let group: any WorkerGroup
  private let plan: ReductionPlan
  private let gradients: [SubtreeGradient]
  private let addend: Int
  private let ownership: Ownership
  private let arithmetic: Arithmetic
  /// Other workers' rows in memory, by worker and subtree; nil where they send messages.
  private let shared: [[FloatBuffer]]?
  private let lists: RowLists
  private let sums: FloatBuffer  // a row for each touched row of which this worker owns a part
  private let partialSums: FloatBuffer  // a row for each level of the tree
  private let outgoing: FloatBuffer
  private let incoming: FloatBuffer
  private var receivedFloats = 0

  /// - Parameters:
  ///   - addend: its number in the gradients.
  ///   - shared: the values of all workers, by worker and subtree; nil where they don't share memory.
  init(
    _ group: any WorkerGroup, _ batch: BatchPlan, _ plan: ReductionPlan, _ gradients: [SubtreeGradient], addend: Int,
    shared: [[FloatBuffer]]?, _ ownership: Ownership, _ arithmetic: Arithmetic
  ) throws {
    (self.group, self.plan, self.gradients, self.addend) = (group, plan, gradients, addend)
    (self.shared, self.ownership, self.arithmetic) = (shared, ownership, arithmetic)
    let parameter = gradients[0].addends[addend].parameter
    self.parameter = parameter
    lists = RowLists(
      group,
      capacities: plan.subtrees.map { nodes in
        nodes.map { SubtreeGradient.mostRows(gradients[0].addends[addend], batch, $0) }
      }, rows: parameter.rows)
    let isAlone = group.count == 1
    let most = min(parameter.rows, batch.mostRows(in: 0..<batch.tree.count))
    sums = try FloatBuffer(count: isAlone ? 0 : most * parameter.columns)
    partialSums = try FloatBuffer(count: isAlone ? 0 : (plan.levels + 1) * parameter.columns)
    // Sums of subtrees and new rows travel through the same memory.
    let messages = isAlone || shared != nil ? 0 : batch.mostRows(in: 0..<batch.tree.count) * parameter.columns
    outgoing = try FloatBuffer(count: messages)
    incoming = try FloatBuffer(count: messages)
  }

  /// Floats that an object with these properties allocates.
  static func floats(_ parameter: Parameter, _ plan: BatchPlan, sharesMemory: Bool) -> Int {
    guard plan.workers > 1 else { return 0 }
    let rows = plan.mostRows(in: 0..<plan.tree.count)
    return (min(rows, parameter.rows) + (sharesMemory ? 0 : 2 * rows)) * parameter.columns
  }

  /// Sums up the touched rows; collective. Workers that share memory have passed a barrier since they wrote their rows.
  func reduce() throws {
    try lists.gather(gradients.map { $0.touched[addend] })
    pieces.removeAll(keepingCapacity: true)
    guard shared == nil, group.count > 1 else { return sumUp([]) }
    var arrived: [[UnsafePointer<Float>]] = plan.subtrees.map { _ in [] }
    receivedFloats = 0
    for round in 0..<plan.rounds { try exchange(round, &arrived) }
    sumUp(arrived)
  }

  /// The rows of one subtree that are still to be read: their places in the lists, and their values.
  private struct Cursor {
    var places: Range<Int>
    /// Where the values of the next row begin, or of the part of it that this worker owns.
    var values: UnsafePointer<Float>
    let areWholeRows: Bool
  }

  /// - Parameter arrived: the owned parts of other workers' rows, by worker and subtree, one after the other.
  private func sumUp(_ arrived: [[UnsafePointer<Float>]]) {
    var cursors = plan.subtrees.indices.map { worker in
      plan.subtrees[worker].indices.map { index in
        let own = worker == group.rank ? gradients[index].values[addend].pointer : nil
        let whole = own ?? shared?[worker][index].pointer
        return Cursor(
          places: lists.places(worker, index), values: whole.map { UnsafePointer($0) } ?? arrived[worker][index],
          areWholeRows: whole != nil)
      }
    }
    for row in lists.touched {
      let part = part(ofRow: row, in: group.rank)
      var holders = Holders(row: row, offset: part.lowerBound - start(ofRow: row), count: part.count)
      let total = evaluate(plan.sum, &holders, &cursors, depth: 0)
      guard !part.isEmpty, let total else { continue }
      var values = total
      if holders.isSummed {
        let target = sums.pointer + pieces.count * parameter.columns
        target.update(from: total, count: part.count)
        values = UnsafePointer(target)
      }
      pieces.append(Piece(range: part, values: values))
    }
  }

  /// What a row's sum is made of.
  private struct Holders {
    let row: Int32
    /// Where the owned part begins in the row, and its floats.
    let offset: Int
    let count: Int
    /// Whether the sum stands in the partial sums.
    var isSummed = false
  }

  /// A row's sum under `sum`; nil where no subtree has the row.
  private func evaluate(
    _ sum: ReductionPlan.Sum, _ holders: inout Holders, _ cursors: inout [[Cursor]], depth: Int
  ) -> UnsafePointer<Float>? {
    switch sum {
    case .subtree(let worker, let index):
      let cursor = cursors[worker][index]
      guard !cursor.places.isEmpty, lists.values[cursor.places.lowerBound] == holders.row else { return nil }
      cursors[worker][index].places.removeFirst()
      cursors[worker][index].values += cursor.areWholeRows ? parameter.columns : holders.count
      return cursor.areWholeRows ? cursor.values + holders.offset : cursor.values
    case .both(let left, let right):
      let a = evaluate(left, &holders, &cursors, depth: depth)
      // The partial sum of this depth is free unless the left sum may stand in it.
      let b = evaluate(right, &holders, &cursors, depth: a == nil ? depth : depth + 1)
      guard let a, let b else { return a ?? b }
      let partial = partialSums.pointer + depth * parameter.columns
      arithmetic.sum(a, b, into: partial, count: holders.count)
      holders.isSummed = true
      return UnsafePointer(partial)
    }
  }

  private func start(ofRow row: Int32) -> Int { parameter.offset + Int(row) * parameter.columns }

  /// The part of a row that a worker owns, in floats of the arena; often all or nothing.
  private func part(ofRow row: Int32, in worker: Int) -> Range<Int> {
    let start = start(ofRow: row)
    return (start..<(start + parameter.columns)).clamped(to: ownership.segments[worker])
  }

  /// Sends the rows of one subtree of each worker to their owners.
  private func exchange(_ round: Int, _ arrived: inout [[UnsafePointer<Float>]]) throws {
    var (sending, receiving) = ([UnsafeRawBufferPointer](), [UnsafeMutableRawBufferPointer]())
    var sent = 0
    // What earlier rounds brought stays: it is summed up after the last.
    var received = receivedFloats
    for worker in 0..<group.count {
      let (firstSent, firstReceived) = (sent, received)
      if worker != group.rank {
        if round < gradients.count {
          let values = gradients[round].values[addend].pointer
          for (place, row) in gradients[round].touched[addend].enumerated() {
            let part = part(ofRow: row, in: worker)
            let offset = place * parameter.columns + part.lowerBound - start(ofRow: row)
            (outgoing.pointer + sent).update(from: values + offset, count: part.count)
            sent += part.count
          }
        }
        if round < plan.subtrees[worker].count {
          arrived[worker].append(UnsafePointer(incoming.pointer + received))
          for place in lists.places(worker, round) {
            received += part(ofRow: lists.values[place], in: group.rank).count
          }
        }
      }
      sending.append(UnsafeRawBufferPointer(outgoing[firstSent..<sent]))
      receiving.append(UnsafeMutableRawBufferPointer(incoming[firstReceived..<received]))
    }
    receivedFloats = received
    try group.exchange(sending: sending, receiving: receiving)
  }

  /// Hands the updated rows to workers that hold a copy of the weights of their own; collective.
  func distribute(_ weights: FloatBuffer) throws {
    guard group.count > 1 else { return }
    var sent = 0
    for piece in pieces {
      (outgoing.pointer + sent).update(from: weights.pointer + piece.range.lowerBound, count: piece.range.count)
      sent += piece.range.count
    }
    let own = UnsafeRawBufferPointer(outgoing[0..<sent])
    var (sending, receiving) = ([UnsafeRawBufferPointer](), [UnsafeMutableRawBufferPointer]())
    var next = 0
    for worker in 0..<group.count {
      let isOwn = worker == group.rank
      let count = isOwn ? 0 : lists.touched.reduce(0) { $0 + part(ofRow: $1, in: worker).count }
      sending.append(isOwn ? UnsafeRawBufferPointer(start: nil, count: 0) : own)
      receiving.append(UnsafeMutableRawBufferPointer(incoming[next..<(next + count)]))
      next += count
    }
    try group.exchange(sending: sending, receiving: receiving)
    next = 0
    for worker in 0..<group.count where worker != group.rank {
      for row in lists.touched {
        let part = part(ofRow: row, in: worker)
        (weights.pointer + part.lowerBound).update(from: incoming.pointer + next, count: part.count)
        next += part.count
      }
    }
  }
}

/// Which rows each worker has touched in each of its subtrees.
private final class RowLists {
  /// Touched by any worker, ascending.
  private(set) var touched: [Int32] = []
  /// All lists; ``places(_:_:)`` says where each stands.
  let values: Buffer<Int32>
  private let group: any WorkerGroup
  /// Where each list begins with its count, at the same places on every worker.
  private let starts: [[Int]]
  private let bytes: [Range<Int>]
  private let seen: RowSet

  /// - Parameter capacities: the most rows of a list, by worker and subtree.
  init(_ group: any WorkerGroup, capacities: [[Int]], rows: Int) {
    self.group = group
    var (starts, bytes, next) = ([[Int]](), [Range<Int>](), 0)
    for capacities in capacities {
      let first = next
      starts.append(
        capacities.map { capacity in
          defer { next += 1 + capacity }
          return next
        })
      bytes.append((first * MemoryLayout<Int32>.stride)..<(next * MemoryLayout<Int32>.stride))
    }
    (self.starts, self.bytes) = (starts, bytes)
    values = Buffer(repeating: 0, count: next)
    seen = RowSet(rows: rows)
  }

  /// Where the rows of a list stand in ``values``.
  func places(_ worker: Int, _ index: Int) -> Range<Int> {
    let start = starts[worker][index]
    return (start + 1)..<(start + 1 + Int(values[start]))
  }

  /// Tells all workers what each has touched; collective.
  ///
  /// - Parameter own: this worker's lists.
  func gather(_ own: [[Int32]]) throws {
    for (start, rows) in zip(starts[group.rank], own) {
      values[start] = Int32(rows.count)
      for (place, row) in rows.enumerated() { values[start + 1 + place] = row }
    }
    if group.count > 1 { try group.allGather(UnsafeMutableRawBufferPointer(values.values), segments: bytes) }
    for (worker, starts) in starts.enumerated() {
      for index in starts.indices {
        for place in places(worker, index) { seen.insert(values[place]) }
      }
    }
    seen.drain(into: &touched)
  }
}
