import CMPI
import Failures
import Glibc

/// The processes of an MPI job and the messages between them.
///
/// Every call but ``abort(status:)`` is collective. Buffers may be larger than an MPI count (`Int32`): they travel in
/// pieces of at most ``messageLimit`` bytes. Calls throw ``MPIError``, for which the only remedy is to end the job.
package struct Communicator: @unchecked Sendable {
  // Safe to hand between threads: the handle is a constant of the library, and the runtime's contract is that only the
  // thread that initialised MPI makes calls.
  private let raw: MPI_Comm
  /// 0..<size
  package let rank: Int
  package let size: Int
  /// The most bytes that one MPI message carries, a multiple of 8. Smaller only in tests, where 2 GiB would be a lot.
  package private(set) var messageLimit = 1 << 30

  init(_ raw: MPI_Comm) throws {
    self.raw = raw
    var rank: Int32 = 0
    var size: Int32 = 0
    try check(MPI_Comm_rank(raw, &rank), "MPI_Comm_rank")
    try check(MPI_Comm_size(raw, &size), "MPI_Comm_size")
    self.rank = Int(rank)
    self.size = Int(size)
  }

  /// The same processes with another limit on the bytes of one message.
  package func limitingMessages(to bytes: Int) -> Communicator {
    precondition(bytes >= 8 && bytes % 8 == 0 && bytes <= 1 << 30)
    var copy = self
    copy.messageLimit = bytes
    return copy
  }

  package func barrier() throws {
    try check(MPI_Barrier(raw), "MPI_Barrier")
  }

  /// Copies the bytes of `root` over those of all others.
  package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    precondition(0..<size ~= root)
    for piece in pieces(of: bytes.count) {
      try check(
        MPI_Bcast(bytes.baseAddress! + piece.lowerBound, Int32(piece.count), MPI_BYTE, Int32(root), raw), "MPI_Bcast")
    }
  }

  package func sum(_ values: UnsafeMutableBufferPointer<Float>) throws { try sum(values, as: MPI_FLOAT) }
  package func sum(_ values: UnsafeMutableBufferPointer<Double>) throws { try sum(values, as: MPI_DOUBLE) }
  package func sum(_ values: UnsafeMutableBufferPointer<Int32>) throws { try sum(values, as: MPI_INT32_T) }

  /// Replaces `values` by their sums over the ranks, in an order of additions that the library chooses.
  private func sum<Element>(_ values: UnsafeMutableBufferPointer<Element>, as type: MPI_Datatype) throws {
    let stride = MemoryLayout<Element>.stride
    let start = UnsafeMutableRawPointer(values.baseAddress)
    for piece in pieces(of: values.count * stride) {
      try check(
        MPI_Allreduce(MPI_IN_PLACE, start! + piece.lowerBound, Int32(piece.count / stride), type, MPI_SUM, raw),
        "MPI_Allreduce")
    }
  }

  /// The least of the ranks' values.
  package func minimum(_ value: Int32) throws -> Int32 {
    var result = value
    try check(MPI_Allreduce(MPI_IN_PLACE, &result, 1, MPI_INT32_T, MPI_MIN, raw), "MPI_Allreduce")
    return result
  }

  /// Ends all processes of the job, which ends with `status` (as far as the launcher passes it on).
  package func abort(status: Int32) -> Never {
    _ = MPI_Abort(raw, status)
    // Open MPI returns from MPI_Abort when the runtime underneath is gone; then there is only ourselves to end.
    _exit(status)
  }

  /// The ranges of at most ``messageLimit`` bytes that cover `0..<count`, in order; `least` empty ones for nothing.
  private func pieces(of count: Int, atLeast least: Int = 0) -> some Collection<Range<Int>> {
    let limit = messageLimit
    return (0..<Swift.max(least, (count + limit - 1) / limit)).lazy.map {
      $0 * limit..<Swift.min(($0 + 1) * limit, count)
    }
  }
}

// MARK: - Exchange and gather

extension Communicator {
  /// Sends `sending[p]` to rank p and fills `receiving[p]` from rank p, for all p at once; the own element is copied.
  ///
  /// Both sides must agree on each size, which may be 0. Throws a `Failure` where a peer sends fewer bytes
  /// than expected; more are an ``MPIError``.
  package func exchange(sending: [UnsafeRawBufferPointer], receiving: [UnsafeMutableRawBufferPointer]) throws {
    precondition(sending.count == size && receiving.count == size)
    precondition(sending[rank].count == receiving[rank].count, "a worker disagrees with itself on a size")
    receiving[rank].copyMemory(from: sending[rank])

    var count = 0
    for peer in 0..<size where peer != rank {
      count += messages(for: receiving[peer].count).count + messages(for: sending[peer].count).count
    }
    try PendingMessages.withCapacity(count, over: raw) { pending in
      // Receives first, so that what arrives goes straight into its place. Peers are taken round from one's own rank:
      // otherwise all would send to rank 0 first.
      for peer in peersInTurn {
        for piece in messages(for: receiving[peer].count) {
          try pending.receive(.init(rebasing: receiving[peer][piece]), from: peer)
        }
      }
      for peer in peersInTurn {
        for piece in messages(for: sending[peer].count) {
          try pending.send(.init(rebasing: sending[peer][piece]), to: peer)
        }
      }
      try pending.waitForAll()
    }
  }

  /// Each rank contributes the bytes `segments[rank]` of its `bytes`; afterwards all hold all segments.
  package func allGather(_ bytes: UnsafeMutableRawBufferPointer, segments: [Range<Int>]) throws {
    precondition(segments.count == size)
    precondition(segments.allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= bytes.count })
    guard bytes.count <= messageLimit else {
      // The collective's offsets are Int32 too, so beyond them the segments go one by one.
      for (root, segment) in segments.enumerated() { try broadcast(.init(rebasing: bytes[segment]), from: root) }
      return
    }
    try withUnsafeTemporaryAllocation(of: Int32.self, capacity: 2 * size) { numbers in
      for (peer, segment) in segments.enumerated() {
        numbers[peer] = Int32(segment.count)
        numbers[size + peer] = Int32(segment.lowerBound)
      }
      let counts = numbers.baseAddress!
      try check(
        MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_BYTE, bytes.baseAddress, counts, counts + size, MPI_BYTE, raw),
        "MPI_Allgatherv")
    }
  }

  private var peersInTurn: some Sequence<Int> {
    let (rank, size) = (rank, size)
    return (1..<Swift.max(size, 1)).lazy.map { (rank + $0) % size }
  }

  /// The pieces of a message between two ranks.
  ///
  /// An empty buffer is one empty message, so that a peer that expects something is told instead of waiting for ever.
  private func messages(for count: Int) -> some Collection<Range<Int>> { pieces(of: count, atLeast: 1) }
}
