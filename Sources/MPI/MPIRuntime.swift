import CMPI
import Failures
import Synchronization

/// The MPI library between `MPI_Init_thread` and `MPI_Finalize`.
///
/// There is no `deinit` that finalises: `MPI_Finalize` is collective, and a rank that leaves alone by an error would wait
/// there for ever. A clean exit calls ``finalize()``, any other ``Communicator/abort(status:)``.
package struct MPIRuntime: ~Copyable {
  /// All processes of the job.
  package let world: Communicator

  /// Whether this process has called `MPI_Init`, which it can do once.
  package static var wasStarted: Bool { hasStarted.load(ordering: .relaxed) }

  /// The library's name and version, such as `Open MPI v4.1.4`; may be asked for before MPI is initialised.
  package static var libraryVersion: String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(MPI_MAX_LIBRARY_VERSION_STRING) + 1) { buffer in
      buffer.initialize(repeating: 0)
      var length: Int32 = 0
      guard MPI_Get_library_version(buffer.baseAddress, &length) == MPI_SUCCESS else { return "unknown" }
      let text = String(decoding: buffer[..<Int(length)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      // What follows tells where and when it was built.
      return String(text.prefix { $0 != "," && $0 != "\n" && $0 != "\0" }).replacing("\t", with: " ")
    }
  }

  /// Initialises MPI for calls from this thread only (`MPI_THREAD_FUNNELED`) and makes errors return instead of abort.
  ///
  /// MPI can be initialised once in the life of a process. Throws ``MPIError``, or a `Failure` where the MPI library and
  /// the launcher don't belong together.
  package init() throws {
    hasStarted.store(true, ordering: .relaxed)
    var provided: Int32 = 0
    let wanted = Int32(MPI_THREAD_FUNNELED)
    try check(MPI_Init_thread(nil, nil, wanted, &provided), "MPI_Init_thread")
    try check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler")
    guard provided >= wanted else {
      throw Failure(
        .softwareFault, "the MPI library does not allow threads beside the one that calls it", at: "MPI_Init_thread",
        remedy: "use an MPI built with thread support")
    }
    let world = try Communicator(MPI_COMM_WORLD)

    // Started by another MPI's mpirun, every process is a world of its own, and N of them would write the same files.
    if let size = Launcher.current?.size, size != world.size {
      throw Failure(
        .usage, "the launcher started \(size) processes, but this program's MPI library sees \(world.size)",
        remedy: "use the mpirun of the MPI that lockstep was built with")
    }
    self.world = world
  }

  /// Leaves MPI. Collective: returns when every rank has called it.
  package consuming func finalize() throws {
    try check(MPI_Finalize(), "MPI_Finalize")
  }
}

private let hasStarted = Atomic<Bool>(false)
