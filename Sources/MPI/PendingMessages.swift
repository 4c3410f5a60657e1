import CMPI
import Failures

/// Messages that have been started and not yet waited for.
///
/// A body that throws leaves messages under way. That is the end of the job (a communicator is of no use after an
/// error), so nothing tries to take them back.
struct PendingMessages {
  /// `MPI_Request`s. Kept raw because Swift imports arrays of them as optional pointers from Open MPI and as integers
  /// from MPICH. Safe: the memory lives for the duration of ``withCapacity(_:over:_:)``.
  private let requests: UnsafeMutableRawPointer
  /// The bytes that a receive must bring, -1 for a send.
  private let expected: UnsafeMutableBufferPointer<Int32>
  private let communicator: MPI_Comm
  private var count = 0

  private static var stride: Int { MemoryLayout<MPI_Request>.stride }

  /// Runs `body` with room for `capacity` messages.
  static func withCapacity(
    _ capacity: Int, over communicator: MPI_Comm, _ body: (inout PendingMessages) throws -> Void
  ) throws {
    try withUnsafeTemporaryAllocation(
      byteCount: capacity * stride, alignment: MemoryLayout<MPI_Request>.alignment
    ) { requests in
      try withUnsafeTemporaryAllocation(of: Int32.self, capacity: capacity) { expected in
        guard let start = requests.baseAddress else { return }
        var messages = PendingMessages(requests: start, expected: expected, communicator: communicator)
        try body(&messages)
      }
    }
  }

  mutating func receive(_ bytes: UnsafeMutableRawBufferPointer, from peer: Int) throws {
    let (communicator, slot) = (communicator, add(expecting: Int32(bytes.count)))
    try check(
      MPI_Irecv(bytes.baseAddress, Int32(bytes.count), MPI_BYTE, Int32(peer), Self.tag, communicator, bound(slot)),
      "MPI_Irecv")
  }

  mutating func send(_ bytes: UnsafeRawBufferPointer, to peer: Int) throws {
    let (communicator, slot) = (communicator, add(expecting: -1))
    try check(
      MPI_Isend(bytes.baseAddress, Int32(bytes.count), MPI_BYTE, Int32(peer), Self.tag, communicator, bound(slot)),
      "MPI_Isend")
  }

  /// Returns when all messages are through. Throws ``MPIError``, or a `Failure` where a message was too short.
  func waitForAll() throws {
    // One by one, because MPI_Waitall says of a failed message only that there was one. All make progress meanwhile.
    for index in 0..<count {
      var status = MPI_Status()
      try check(MPI_Wait(bound(requests + index * Self.stride), &status), "MPI_Wait")
      guard expected[index] >= 0 else { continue }
      var received: Int32 = 0
      try check(MPI_Get_count(&status, MPI_BYTE, &received), "MPI_Get_count")
      guard received == expected[index] else {
        throw Failure(
          .softwareFault, "rank \(status.MPI_SOURCE) sent \(received) bytes where \(expected[index]) were expected",
          at: "MPI_Irecv")
      }
    }
  }

  /// One tag does: messages between two ranks arrive in the order in which they were sent.
  private static let tag: Int32 = 0

  private mutating func add(expecting bytes: Int32) -> UnsafeMutableRawPointer {
    precondition(count < expected.count)
    expected[count] = bytes
    defer { count += 1 }
    return requests + count * Self.stride
  }
}

/// Types a raw pointer as the call at hand wants it; see ``PendingMessages/requests``.
private func bound<Pointee>(_ pointer: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Pointee> {
  pointer.assumingMemoryBound(to: Pointee.self)
}
