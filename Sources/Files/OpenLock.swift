import Failures
import Foundation

/// A lock file that is open, and with it the kernel's lock on it, if there is one.
final class OpenLock: Sendable {
  /// What the kernel says to the wish for its lock.
  enum Answer: Sendable { case free, taken, none }

  let path: String
  private let descriptor: Int32

  private init(path: String, descriptor: Int32) {
    (self.path, self.descriptor) = (path, descriptor)
  }

  deinit { _ = Foundation.close(descriptor) }

  /// Makes the file; nil where there is one already.
  static func create(_ path: String) throws -> OpenLock? {
    let descriptor = Foundation.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o666)
    if descriptor >= 0 { return OpenLock(path: path, descriptor: descriptor) }
    guard errno == EEXIST else { throw Failure.posix(.cannotWrite, "the lock can't be made", at: path) }
    return nil
  }

  /// nil where it can't be opened, and `errno` says why.
  static func open(_ path: String) -> OpenLock? {
    let descriptor = Foundation.open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
    return descriptor >= 0 ? OpenLock(path: path, descriptor: descriptor) : nil
  }

  @discardableResult
  func lock() -> Answer {
    while true {
      if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return .free }
      if errno == EINTR { continue }
      return errno == EWOULDBLOCK ? .taken : .none
    }
  }

  /// Whether the path still leads to this file.
  var isInPlace: Bool {
    var (own, there) = (stat(), stat())
    return fstat(descriptor, &own) == 0 && lstat(path, &there) == 0 && own.st_dev == there.st_dev
      && own.st_ino == there.st_ino
  }

  var record: LockRecord? {
    let bytes = [UInt8](unsafeUninitializedCapacity: LockRecord.size) { buffer, filled in
      filled = max(0, pread(descriptor, buffer.baseAddress!, buffer.count, 0))
    }
    return LockRecord(bytes)
  }

  @discardableResult
  func write(_ record: LockRecord) -> Bool {
    let bytes = record.bytes
    guard pwrite(descriptor, bytes, bytes.count, 0) == bytes.count else { return false }
    _ = ftruncate(descriptor, off_t(bytes.count))
    _ = fsync(descriptor)
    return true
  }

  func writeOrThrow(_ record: LockRecord) throws {
    guard write(record) else {
      let failure = Failure.posix(.cannotWrite, "the lock can't be written", at: path)
      if isInPlace { _ = unlink(path) }
      throw failure
    }
  }

  func touch() { _ = futimens(descriptor, nil) }

  /// How long the file has not been touched, by the clock of its file system: machines' own clocks differ.
  var age: Duration {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return .zero }
    let probe = "\(path).now-\(String(UInt64.random(in: 0...UInt64.max), radix: 16))"
    var now = timespec()
    if let file = try? OpenLock.create(probe) {
      var status = stat()
      if fstat(file.descriptor, &status) == 0 { now = status.st_mtim }
      _ = unlink(probe)
    }
    if now.tv_sec == 0 { clock_gettime(CLOCK_REALTIME, &now) }
    return .seconds(now.tv_sec - status.st_mtim.tv_sec)
  }
}
