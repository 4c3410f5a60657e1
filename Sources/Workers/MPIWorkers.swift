import Failures
import Glibc
import MPI

/// The workers of an `mpirun`: one a rank of the world communicator.
///
/// Its calls belong on the thread that initialised MPI.
package struct MPIWorkers: WorkerGroup {
  private let world: Communicator

  package init(_ world: Communicator) {
    self.world = world
  }

  /// The same workers with another limit on the bytes of one MPI message; for tests of what happens beyond it.
  package func limitingMessages(to bytes: Int) -> MPIWorkers { MPIWorkers(world.limitingMessages(to: bytes)) }

  package var rank: Int { world.rank }
  package var count: Int { world.size }

  package func barrier() throws { try world.barrier() }

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

  package func share(_ pointer: UnsafeMutableRawPointer) -> [UnsafeMutableRawPointer]? { nil }

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
