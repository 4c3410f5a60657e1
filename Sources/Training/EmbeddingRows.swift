import Arena
import Kernels
import Recurrent
import Workers

/// The rows of the embedding's gradient that a step touches, where the vocabulary is much larger than a window: only they
/// are exchanged, looked at for the norm, updated and handed round.
///
/// All other rows are zero in every worker's gradient, so leaving them out changes no bit of any sum, norm or weight: a
/// run has the same bits as one that treats the matrix as dense. That holds for update rules that leave a weight with a
/// zero gradient alone: SGD without momentum and AdaGrad, both without weight decay. Momentum, Adam and RMSProp move
/// every weight at every step, so their embedding stays dense.
final class EmbeddingRows {
  /// Parts of rows inside this worker's segment, in floats of the arena, ascending. For the step at hand.
  private(set) var pieces: [Range<Int>] = []
  /// Where `encoder.weight` stands: at the front of the arena.
  let range: Range<Int>

  private let group: any WorkerGroup
  private let model: LanguageModel
  private let segments: [Range<Int>]
  private let reduction: TreeReduction
  private let width: Int  // E
  /// For each worker and subtree a count and the touched tokens, at the same places on every worker.
  private let lists: UnsafeMutableBufferPointer<Int32>
  private let listStarts: [[Int]]
  private let rounds: Int  // subtrees that a worker has at most
  private let listBytes: [Range<Int>]
  private let seen: UnsafeMutableBufferPointer<UInt64>  // a bit for each token
  /// Touched by any worker, ascending.
  private var tokens: [Int32] = []
  private let outgoing: FloatBuffer
  private let incoming: FloatBuffer
  // What goes from and to each worker in one exchange: kept, so that a step makes no arrays.
  private var sending: [UnsafeRawBufferPointer] = []
  private var receiving: [UnsafeMutableRawBufferPointer] = []

  /// - Parameter reduction: of the gradients, without the embedding's range.
  init(
    _ group: any WorkerGroup, model: LanguageModel, segments: [Range<Int>], reduction: TreeReduction
  ) throws {
    self.group = group
    self.model = model
    self.segments = segments
    self.reduction = reduction
    let shape = model.weights.shape
    width = shape.embeddingSize
    range = 0..<(shape.vocabularySize * shape.embeddingSize)
    let batch = model.batch
    var (starts, bytes, next) = ([[Int]](), [Range<Int>](), 0)
    for worker in 0..<group.count {
      let theirs = batch.ofWorker(worker, of: group.count)
      let first = next
      starts.append(
        theirs.nodes.map { node in
          defer { next += 1 + min(node.count, shape.vocabularySize) }
          return next
        })
      bytes.append((first * MemoryLayout<Int32>.stride)..<(next * MemoryLayout<Int32>.stride))
    }
    (listStarts, listBytes) = (starts, bytes)
    rounds = starts.map(\.count).max() ?? 0
    lists = .allocate(capacity: next)
    lists.initialize(repeating: 0)
    seen = .allocate(capacity: (shape.vocabularySize + 63) / 64)
    seen.initialize(repeating: 0)
    let rows = group.count > 1 && !reduction.readsInPlace ? batch.mostSteps * batch.globalStreams : 0
    outgoing = try FloatBuffer(count: rows * width)
    incoming = try FloatBuffer(count: rows * width)
    pieces.reserveCapacity(batch.mostSteps * batch.globalStreams)
    tokens.reserveCapacity(batch.mostSteps * batch.globalStreams)
    sending.reserveCapacity(group.count)
    receiving.reserveCapacity(group.count)
  }

  deinit {
    lists.deallocate()
    seen.deallocate()
  }

  /// Tells all workers which rows each of them has touched; collective, after the backward pass.
  func gather() throws {
    for (node, gradient) in model.gradients.enumerated() {
      let (start, touched) = (listStarts[group.rank][node], model.touchedTokens(of: gradient))
      lists[start] = Int32(touched.count)
      for (index, token) in touched.enumerated() { lists[start + 1 + index] = token }
    }
    if group.count > 1 { try group.allGather(UnsafeMutableRawBufferPointer(lists), segments: listBytes) }
    for worker in 0..<group.count {
      for node in listStarts[worker].indices {
        for token in list(worker, node) { seen[Int(token) / 64] |= 1 << UInt64(token % 64) }
      }
    }
    tokens.removeAll(keepingCapacity: true)
    pieces.removeAll(keepingCapacity: true)
    for (word, bits) in seen.enumerated() where bits != 0 {
      var left = bits
      while left != 0 {
        let token = word * 64 + left.trailingZeroBitCount
        left &= left - 1
        tokens.append(Int32(token))
        let piece = part(ofRow: Int32(token), in: group.rank)
        if !piece.isEmpty { pieces.append(piece) }
      }
      seen[word] = 0
    }
  }

  /// Sums up the touched rows of this worker's segment; collective, after ``TreeReduction/reduce()``.
  func reduce() throws {
    if group.count > 1, !reduction.readsInPlace {
      for round in 0..<rounds { try exchangeRows(of: round) }
    }
    reduction.reduce(pieces: pieces)
  }

  /// Hands the updated rows to the workers of other processes; collective.
  func distribute() throws {
    let weights = model.weights.parameters.values.pointer
    var sent = 0
    for piece in pieces {
      (outgoing.pointer + sent).update(from: weights + piece.lowerBound, count: piece.count)
      sent += piece.count
    }
    let own = UnsafeRawBufferPointer(outgoing[0..<sent])
    beginExchange()
    var next = 0
    for worker in 0..<group.count {
      let count = worker == group.rank ? 0 : tokens.reduce(0) { $0 + part(ofRow: $1, in: worker).count }
      sending.append(worker == group.rank ? UnsafeRawBufferPointer(start: nil, count: 0) : own)
      receiving.append(UnsafeMutableRawBufferPointer(incoming[next..<(next + count)]))
      next += count
    }
    try group.exchange(sending: sending, receiving: receiving)
    next = 0
    for worker in 0..<group.count where worker != group.rank {
      for token in tokens {
        let piece = part(ofRow: token, in: worker)
        (weights + piece.lowerBound).update(from: incoming.pointer + next, count: piece.count)
        next += piece.count
      }
    }
  }

  /// Makes ready for the next step.
  func clear() { reduction.clear(pieces: pieces) }

  /// Sends the rows of one subtree of each worker to their owners, into the inboxes that the reduction reads.
  private func exchangeRows(of node: Int) throws {
    beginExchange()
    var (sent, received) = (0, 0)
    for worker in 0..<group.count {
      let (firstSent, firstReceived) = (sent, received)
      if worker != group.rank {
        if node < model.gradients.count {
          let values = model.gradients[node].store.values.pointer
          for token in list(group.rank, node) {
            let piece = part(ofRow: token, in: worker)
            (outgoing.pointer + sent).update(from: values + piece.lowerBound, count: piece.count)
            sent += piece.count
          }
        }
        for token in list(worker, node) { received += part(ofRow: token, in: group.rank).count }
      }
      sending.append(UnsafeRawBufferPointer(outgoing[firstSent..<sent]))
      receiving.append(UnsafeMutableRawBufferPointer(incoming[firstReceived..<received]))
    }
    try group.exchange(sending: sending, receiving: receiving)
    received = 0
    for worker in 0..<group.count where worker != group.rank {
      for token in list(worker, node) {
        let piece = part(ofRow: token, in: group.rank)
        let inbox =
          reduction.inbox(ofWorker: worker, node: node).pointer + piece.lowerBound - reduction.segment.lowerBound
        inbox.update(from: incoming.pointer + received, count: piece.count)
        received += piece.count
      }
    }
  }

  private func beginExchange() {
    sending.removeAll(keepingCapacity: true)
    receiving.removeAll(keepingCapacity: true)
  }

  /// What a worker has touched in one of its subtrees; empty where it has fewer.
  private func list(_ worker: Int, _ node: Int) -> Slice<UnsafeMutableBufferPointer<Int32>> {
    guard node < listStarts[worker].count else { return lists[0..<0] }
    let start = listStarts[worker][node]
    return lists[(start + 1)..<(start + 1 + Int(lists[start]))]
  }

  /// The part of a token's row that a worker owns, in floats of the arena; often all or nothing.
  private func part(ofRow token: Int32, in worker: Int) -> Range<Int> {
    (Int(token) * width..<(Int(token) + 1) * width).clamped(to: segments[worker])
  }
}
