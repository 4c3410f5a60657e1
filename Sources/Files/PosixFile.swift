import Failures
import Foundation

/// An open file descriptor, for what HDF5 does not do: bytes in front of it, digests and durability.
package struct PosixFile: ~Copyable {
  private let descriptor: Int32
  package let path: String
  /// How a failure of this file ends the process: can't write, or bad data.
  private let exitStatus: ExitStatus

  /// - Parameter flags: those of open(2); O_RDONLY is reading, all others are writing.
  package init(_ path: String, _ flags: Int32 = O_RDONLY) throws {
    self.path = path
    exitStatus = flags & O_ACCMODE == O_RDONLY && flags & O_DIRECTORY == 0 ? .badData : .cannotWrite
    descriptor = Foundation.open(path, flags | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw Failure.posix(exitStatus, "can't be opened", at: path) }
  }

  deinit { _ = Foundation.close(descriptor) }

  /// Bytes in the file; throws if it is no regular file.
  package func size() throws -> Int {
    let status = try status()
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw Failure(exitStatus, "is \(status.st_mode & S_IFMT == S_IFDIR ? "a directory" : "not a file")", at: path)
    }
    return Int(status.st_size)
  }

  func status() throws -> stat {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Failure.posix(exitStatus, "can't be examined", at: path) }
    return status
  }

  /// Up to `count` bytes from `offset`; fewer only at the end of the file.
  package func read(_ count: Int, at offset: Int) throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      filled = try read(
        into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]), at: offset)
    }
  }

  /// Fills the buffer with the bytes from `offset`; returns how many there were, fewer only at the end of the file.
  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int {
    var filled = 0
    while filled < buffer.count {
      let got = pread(descriptor, buffer.baseAddress! + filled, buffer.count - filled, off_t(offset + filled))
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { throw Failure.posix(exitStatus, "can't be read", at: path) }
      if got == 0 { break }
      filled += got
    }
    return filled
  }

  package func write(_ bytes: [UInt8], at offset: Int) throws {
    try bytes.withUnsafeBytes { buffer in
      var written = 0
      while written < buffer.count {
        let count = pwrite(
          descriptor, buffer.baseAddress! + written, buffer.count - written, off_t(offset + written))
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw Failure.posix(exitStatus, "can't be written", at: path) }
        written += count
      }
    }
  }

  /// Cuts the file to its first `size` bytes.
  package func truncate(to size: Int) throws {
    guard ftruncate(descriptor, off_t(size)) == 0 else { throw Failure.posix(exitStatus, "can't be cut", at: path) }
  }

  /// Whether the path leads to this file still: another may have been put in its place.
  package var isInPlace: Bool {
    var (own, there) = (stat(), stat())
    return fstat(descriptor, &own) == 0 && stat(path, &there) == 0 && own.st_dev == there.st_dev
      && own.st_ino == there.st_ino
  }

  /// Waits until the file is on the disk.
  package func synchronize() throws {
    guard fsync(descriptor) == 0 else { throw Failure.posix(exitStatus, "can't be brought to the disk", at: path) }
  }
}

extension PosixFile {
  /// Waits until the entries of a directory are on the disk. Some file systems have no such thing for directories and say
  /// so (EINVAL); theirs are as safe as they get.
  package static func synchronizeDirectory(_ path: String) throws {
    let directory = try PosixFile(path, O_RDONLY | O_DIRECTORY)
    guard fsync(directory.descriptor) != 0, ![EINVAL, ENOTSUP, ENOSYS].contains(errno) else { return }
    throw Failure.posix(.cannotWrite, "can't be brought to the disk", at: path)
  }

  /// Puts the file at `source` in the place of `destination`: readers see the old one or the new one, whole.
  package static func move(_ source: String, over destination: String) throws {
    guard rename(source, destination) == 0 else {
      throw Failure.posix(.cannotWrite, "can't be put in place", at: destination)
    }
  }
}

extension Failure {
  /// A failure whose cause is what the system call just said in `errno`.
  package static func posix(_ exitStatus: ExitStatus, _ what: String, at path: String) -> Failure {
    Failure(exitStatus, what, at: path, cause: String(cString: strerror(errno)))
  }
}
