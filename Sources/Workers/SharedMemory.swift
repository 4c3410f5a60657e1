import CLinux
import Failures
import Glibc
import Parameters

/// Zeroed memory that other processes of this machine can map.
///
/// An anonymous file (`memfd_create(2)`): it has no name that could be left behind, and no file system that could be
/// full, as /dev/shm is in many containers. The system takes it back when the last process that maps it has ended,
/// however it ends.
///
/// `@unchecked Sendable`: the descriptor is only used by the worker that made this object, the memory as ``FloatBuffer``
/// says.
final class SharedMemory: @unchecked Sendable {
  /// Where another process finds the memory while the descriptor is open.
  struct Place: Codable {
    let process: Int64
    let descriptor: Int64
  }

  private let start: UnsafeMutableRawPointer
  private let byteCount: Int
  private var descriptor: Int32

  /// Throws ``Failure`` where the system has not that much memory.
  init(byteCount: Int) throws {
    // The system refuses ordinary memory that it can't have, but would fill an anonymous file until it has to kill someone.
    let trial = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let trial, trial != MAP_FAILED else { throw Self.failure("make", byteCount) }
    munmap(trial, byteCount)
    let descriptor = memfd_create("lockstep", UInt32(LS_MFD_CLOEXEC))
    guard descriptor >= 0 else { throw Self.failure("make", byteCount) }
    do {
      guard ftruncate(descriptor, byteCount) == 0 else { throw Self.failure("make", byteCount) }
      // Pages that are only promised would end the process with a bus error when the memory runs out.
      var status: Int32
      repeat { status = posix_fallocate(descriptor, 0, byteCount) } while status == EINTR
      errno = status
      guard status == 0 else { throw Self.failure("make", byteCount) }
      start = try Self.map(descriptor, byteCount)
    } catch {
      Glibc.close(descriptor)
      throw error
    }
    (self.byteCount, self.descriptor) = (byteCount, descriptor)
  }

  /// Memory that another process has made and not yet closed. Throws ``Failure``.
  init(mapping place: Place, byteCount: Int) throws {
    // Whatever else might stand there, opening it must not wait, nor touching it end the process.
    let descriptor = open("/proc/\(place.process)/fd/\(place.descriptor)", O_RDWR | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw Self.failure("open", byteCount) }
    defer { Glibc.close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_size == byteCount else {
      errno = ESTALE
      throw Self.failure("open", byteCount)
    }
    start = try Self.map(descriptor, byteCount)
    (self.byteCount, self.descriptor) = (byteCount, -1)
  }

  deinit {
    munmap(start, byteCount)
    close()
  }

  var address: UnsafeMutableRawPointer { start }

  var place: Place {
    precondition(descriptor >= 0, "memory that is closed to others")
    return Place(process: Self.process, descriptor: Int64(descriptor))
  }

  /// The number that /proc knows this process by; in a container it may be the machine's, and not the process's own.
  private static let process: Int64 = {
    var name = [CChar](repeating: 0, count: 32)
    guard readlink("/proc/self", &name, 31) > 0 else { return Int64(getpid()) }
    return name.withUnsafeBufferPointer { Int64(String(cString: $0.baseAddress!)) } ?? Int64(getpid())
  }()

  /// Lets no further process in; those that have mapped the memory keep it.
  func close() {
    if descriptor >= 0 { Glibc.close(descriptor) }
    descriptor = -1
  }

  /// Numbers that two processes have in common if one finds the other's memory; empty where the system doesn't tell, or
  /// limits the size of files: anonymous ones count.
  ///
  /// The boot of the machine, which no two machines share, the namespace of its process numbers, and the user.
  static var machine: [Int64] {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0, limit.rlim_cur == rlim_t.max else {
      return []
    }
    var namespace = stat()
    guard let file = fopen("/proc/sys/kernel/random/boot_id", "r") else { return [] }
    defer { fclose(file) }
    var boot = [CChar](repeating: 0, count: 64)
    guard fgets(&boot, 64, file) != nil, stat("/proc/self/ns/pid", &namespace) == 0 else { return [] }
    return boot.map { Int64($0) } + [Int64(bitPattern: UInt64(namespace.st_ino)), Int64(geteuid())]
  }

  /// Raises this process's limit of open files as far as it may: each block is one until the others have mapped it, and
  /// the first worker makes all weights of a model before.
  static func allowManyAtOnce() {
    var limit = rlimit()
    let kind = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard getrlimit(kind, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(kind, &limit)
  }

  private static func map(_ descriptor: Int32, _ byteCount: Int) throws -> UnsafeMutableRawPointer {
    let start = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    guard let start, start != MAP_FAILED else { throw failure("map", byteCount) }
    // As for ordinary memory; for shared memory most systems refuse, which costs little.
    madvise(start, byteCount, Int32(MADV_HUGEPAGE))
    return start
  }

  private static func failure(_ verb: String, _ byteCount: Int) -> Failure {
    Failure(
      .softwareFault, "can't \(verb) \(byteCount) bytes of memory that ranks share",
      cause: String(cString: strerror(errno)),
      remedy: "use a smaller model, window or number of streams, or give --no-shared-memory")
  }
}

extension SharedMemory {
  /// The memory as floats, which keep it.
  func floats(_ count: Int) -> FloatBuffer {
    FloatBuffer(start.bindMemory(to: Float.self, capacity: count), count: count, owner: self)
  }
}
