import Failures
import Glibc
import MPI
import Parameters
import Synchronization

/// The workers of an `mpirun`: one per rank of the world communicator.
///
/// Its calls belong on the thread that initialised MPI.
package struct MPIWorkers: WorkerGroup {
  private var world: Communicator
  package private(set) var sharesMemory = false
  private let activity = Activity()
  private var watchdog: Watchdog?

  /// Ranks that share no memory and do not watch each other. Not collective.
  init(_ world: Communicator) { self.world = world }

  /// The same ranks, sharing memory where all run on one machine and want to; collective.
  func sharingMemory(wanted: Bool) throws -> MPIWorkers {
    var sharing = self
    sharing.sharesMemory = true
    sharing.sharesMemory = try world.size > 1 && sharing.canShareMemory(wanted: wanted)
    return sharing
  }

  /// The same ranks, watching each other; collective.
  func watchingEachOther() throws -> MPIWorkers {
    var watching = self
    watching.watchdog = try Watchdog.start(self, activity)
    return watching
  }

  /// Ends the watching, before ranks leave one by one.
  func stopWatching() { watchdog?.stop() }

  /// The same workers with another limit on the bytes of one MPI message; for tests of what happens beyond it.
  package func limitingMessages(to bytes: Int) -> MPIWorkers {
    var copy = self
    copy.world = world.limitingMessages(to: bytes)
    return copy
  }

  package var rank: Int { world.rank }
  package var count: Int { world.size }
  package var name: WorkerName { WorkerName(rank: rank, host: WorkerName.thisHost) }

  package func barrier() throws {
    // MPI speaks of messages only: what was written before must be in memory, and nothing may have been read ahead.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    try activity.waiting { try world.barrier() }
    atomicMemoryFence(ordering: .sequentiallyConsistent)
  }

  package func broadcast(_ bytes: UnsafeMutableRawBufferPointer, from root: Int) throws {
    try activity.waiting { try world.broadcast(bytes, from: root) }
  }

  package func exchange(sending: [UnsafeRawBufferPointer], receiving: [UnsafeMutableRawBufferPointer]) throws {
    try activity.waiting { try world.exchange(sending: sending, receiving: receiving) }
  }

  package func allGather(_ bytes: UnsafeMutableRawBufferPointer, segments: [Range<Int>]) throws {
    try activity.waiting { try world.allGather(bytes, segments: segments) }
  }

  package func allReduceSum(_ values: UnsafeMutableBufferPointer<Float>) throws {
    try activity.waiting { try world.sum(values) }
  }
  package func allReduceSum(_ values: UnsafeMutableBufferPointer<Double>) throws {
    try activity.waiting { try world.sum(values) }
  }

  package func agree(_ failure: (any Error)?) throws {
    var failures: Int32 = failure == nil ? 0 : 1
    try withUnsafeMutablePointer(to: &failures) { failures in
      try activity.waiting { try world.sum(UnsafeMutableBufferPointer(start: failures, count: 1)) }
    }
    guard failures > 0 else { return }

    // Rare, so that what all say may be gathered: an error that several meet is reported once, and none is omitted.
    let reports = try gather(failure.map { WorkerFailure.Report($0, of: name) })
    guard let agreed = WorkerFailure(reports.compactMap(\.self), of: count) else {
      throw Failure(.softwareFault, "\(failures) ranks have failed and none says why", at: "MPI_Allreduce")
    }
    throw agreed
  }

  package func enter(_ phase: WorkerPhase, step: Int) { activity.enter(phase, step: step) }

  package func setStallLimit(_ seconds: Double?, named name: String, remedy: String) {
    watchdog?.set(Watchdog.Rules(limit: seconds, limitName: name, remedy: remedy))
  }

  package func abandon(_ error: any Error) {
    var error = error
    if let lost = error as? MPIError, let remedy = watchdog?.remedy {
      error = Failure(
        lost.exitStatus, "can't reach the other ranks; one of them is probably lost", at: lost.call,
        cause: "\(lost.text) (code \(lost.code))", remedy: remedy)
    }
    // The others see this process end, which needs no report.
    if watchdog?.isSharedByAll(error) == true {
      guard rank == 0 else {
        // The first rank prints the error and ends the job.
        usleep(2_000_000)
        world.abort(status: ExitStatus(error).rawValue)
      }
      WorkerLaunch.reportAlone(error, of: name, count: 1)
    } else {
      WorkerLaunch.reportAlone(error, of: name, count: count)
    }
    world.abort(status: ExitStatus(error).rawValue)
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
    try all.withUnsafeMutableBytes { try allGather($0, segments: segments) }
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
