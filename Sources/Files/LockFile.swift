import Failures
import Foundation

/// A file that says that its owner lives: locked from its creation to the owner's end, however that comes.
///
/// The lock is flock(2)'s, on a file and not on a directory, since NFS locks only what is open for writing. Where the file
/// system has no locks the file is inconclusive and is never taken over.
package final class LockFile: Sendable {
  package let path: String
  private let descriptor: Int32

  private init(_ path: String, _ descriptor: Int32) { (self.path, self.descriptor) = (path, descriptor) }

  /// Creates the file, which must not exist yet, and locks it where that is possible.
  ///
  /// - Returns: nil where another process took it over between its creation and the lock.
  /// - Throws: ``Failure`` (can't write).
  package static func create(_ path: String, content: String) throws -> LockFile? {
    let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o666)
    guard descriptor >= 0 else { throw Failure.posix(.cannotWrite, "can't be created", at: path) }
    let file = LockFile(path, descriptor)
    let isTaken = flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK
    guard !isTaken, file.isStillNamed else { return nil }
    let bytes = Array(content.utf8)
    guard Foundation.write(descriptor, bytes, bytes.count) == bytes.count else {
      let failure = Failure.posix(.cannotWrite, "can't be written", at: path)
      file.remove()
      throw failure
    }
    return file
  }

  deinit { close(descriptor) }

  /// Takes over a file whose owner has ended; nil where it lives, or where that can't be told.
  package static func takingOver(_ path: String) -> LockFile? {
    let descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { return nil }
    let file = LockFile(path, descriptor)
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0, file.isStillNamed else { return nil }
    return file
  }

  /// What its owner wrote, a kibibyte at most.
  package var content: String {
    var bytes = [UInt8](repeating: 0, count: 1024)
    let count = pread(descriptor, &bytes, bytes.count, 0)
    return String(decoding: bytes[..<max(count, 0)], as: UTF8.self)
  }

  /// Removes the file: call it when everything that it stood for is gone.
  package func remove() { unlink(path) }

  /// Whether the path leads to the file that is open here.
  private var isStillNamed: Bool {
    var (named, opened) = (stat(), stat())
    return lstat(path, &named) == 0 && fstat(descriptor, &opened) == 0
      && named.st_ino == opened.st_ino && named.st_dev == opened.st_dev
  }
}
