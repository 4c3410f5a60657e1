import Arena
import Failures
import Glibc
import MPI
import Synchronization

/// The workers of an `mpirun`: one a rank of the world communicator.
///
/// Its calls belong on the thread that initialised MPI.
package struct MPIWorkers: WorkerGroup {
  private let world: Communicator
  package let sharesMemory: Bool

  private init(_ world: Communicator, sharesMemory: Bool) {
    (self.world, self.sharesMemory) = (world, sharesMemory)
  }

  /// Collective.
  ///
  /// - Parameter sharedMemory: whether ranks may share memory, where all run on one machine.
  package init(_ world: Communicator, sharedMemory: Bool) throws {
    let sharing = MPIWorkers(world, sharesMemory: true)
    self.init(world, sharesMemory: try world.size > 1 && sharing.canShareMemory(wanted: sharedMemory))
  }

  /// The same workers with another limit on the bytes of one MPI message; for tests of what happens beyond it.
  package func limitingMessages(to bytes: Int) -> MPIWorkers {
    MPIWorkers(world.limitingMessages(to: bytes), sharesMemory: sharesMemory)
  }

  package var rank: Int { world.rank }
  package var count: Int { world.size }

  package func barrier() throws {
    // MPI speaks of messages only: what was written before must be in memory, and nothing may have been read ahead.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    try world.barrier()
    atomicMemoryFence(ordering: .sequentiallyConsistent)
  }

  package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    try world.broadcast(bytes, from: root)
  }

  package func exchange(sending: [UnsafeRawBufferPointer], receiving: [UnsafeMutableRawBufferPointer]) throws {
    try world.exchange(sending: sending, receiving: receiving)
  }

  package func allGather(_ bytes: UnsafeMutableRawBufferPointer, segments: [Range<Int>]) throws {
    try world.allGather(bytes, segments: segments)
  }

  package func allReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws { try world.sum(values) }
  package func allReduceSum(_ values: UnsafeMutableBufferPointer<Double>) throws { try world.sum(values) }

  package func agree(_ failure: (any Error)?) throws {
    var failures: Int32 = failure == nil ? 0 : 1
    try withUnsafeMutablePointer(to: &failures) { try world.sum(UnsafeMutableBufferPointer(start: $0, count: 1)) }
    guard failures > 0 else { return }

    let root = Int(try world.minimum(Int32(failure == nil ? count : rank)))
    let mine = failure.map { WorkerFailure($0, rank: rank, failedEverywhere: Int(failures) == count) }
    throw try broadcast(mine, from: root)
  }

  package func abandon(_ error: any Error) {
    WorkerLaunch.reportAlone(error, rank: rank, of: count)
    world.abort(status: ExitStatus(error).rawValue)
  }

  /// Sends the failure of worker `root`, which alone must have one, to all.
  private func broadcast(_ failure: WorkerFailure?, from root: Int) throws -> WorkerFailure {
    var header = [Int32](repeating: 0, count: 4)  // rank, exit status, failed everywhere, bytes of the message
    var text: [UInt8] = []
    if rank == root, let failure {
      text = Array(failure.message.utf8)
      header = [
        Int32(failure.rank), failure.exitStatus.rawValue, failure.failedEverywhere ? 1 : 0, Int32(text.count),
      ]
    }
    try header.withUnsafeMutableBytes { try world.broadcast($0, from: root) }
    if rank != root { text = [UInt8](repeating: 0, count: Int(header[3])) }
    try text.withUnsafeMutableBytes { try world.broadcast($0, from: root) }
    return WorkerFailure(
      rank: Int(header[0]), message: String(decoding: text, as: UTF8.self),
      exitStatus: ExitStatus(rawValue: header[1]) ?? .softwareFault, failedEverywhere: header[2] != 0)
  }
}

// MARK: - Shared memory

extension MPIWorkers {
  package func floats(_ count: Int) throws -> FloatBuffer {
    guard sharesMemory else { return try FloatBuffer(count: count) }
    return try SharedMemory(byteCount: Self.bytes(of: count)).floats(count)
  }

  package func share(_ buffers: [FloatBuffer]) throws -> [[FloatBuffer]] {
    precondition(sharesMemory, "ranks that share no memory")
    let memories = buffers.map { buffer in
      guard let memory = buffer.owner as? SharedMemory else { preconditionFailure("memory that no other rank can map") }
      return memory
    }
    // A collective that rank after rank leaves by an error would be met by the others' next one: so all agree on each.
    let counts = try gather([Int64(buffers.count)], counts: [Int](repeating: 1, count: count)).map { Int($0) }
    let own = zip(buffers, memories).flatMap { [$1.place.process, $1.place.descriptor, Int64($0.count)] }
    var all = try gather(own, counts: counts.map { 3 * $0 })[...]
    let shared = try agreeing {
      try counts.enumerated().map { worker, count in
        try (0..<count).map { index in
          let place = SharedMemory.Place(process: all.removeFirst(), descriptor: all.removeFirst())
          let count = Int(all.removeFirst())
          return worker == rank
            ? buffers[index] : try SharedMemory(mapping: place, byteCount: Self.bytes(of: count)).floats(count)
        }
      }
    }
    for memory in memories { memory.close() }
    return shared
  }

  private static func bytes(of floats: Int) -> Int { max(floats, 1) * MemoryLayout<Float>.stride }

  /// The numbers of all ranks, one after the other.
  private func gather(_ own: [Int64], counts: [Int]) throws -> [Int64] {
    let width = MemoryLayout<Int64>.stride
    var (segments, total) = ([Range<Int>](), 0)
    for count in counts {
      segments.append((total * width)..<((total + count) * width))
      total += count
    }
    var all = [Int64](repeating: 0, count: total)
    let first = segments[rank].lowerBound / width
    all.replaceSubrange(first..<(first + own.count), with: own)
    try all.withUnsafeMutableBytes { try world.allGather($0, segments: segments) }
    return all
  }

  /// Whether every rank can map every other's memory and all want to; collective.
  private func canShareMemory(wanted: Bool) throws -> Bool {
    let machine = wanted ? SharedMemory.machine : []
    let lengths = try gather([Int64(machine.count)], counts: [Int](repeating: 1, count: count))
    guard lengths.allSatisfy({ $0 == lengths[0] && $0 > 0 }) else { return false }
    let machines = try gather(machine, counts: [Int](repeating: machine.count, count: count))
    let first = machines.prefix(machine.count)
    guard (1..<count).allSatisfy({ machines[($0 * machine.count)...].starts(with: first) }) else { return false }
    SharedMemory.allowManyAtOnce()
    // The same machine, but containers and security modules may still stand between processes: only a trial tells.
    do {
      let trial = try agreeing { try floats(1) }
      trial.pointer.pointee = Float(rank + 1)
      let trials = try share([trial])
      try barrier()
      let isGood = trials.enumerated().allSatisfy { $1[0].pointer.pointee == Float($0 + 1) }
      try agree(isGood ? nil : Failure(.softwareFault, "shared memory shows other values than were written"))
      return true
    } catch is WorkerFailure {
      return false
    }
  }
}
