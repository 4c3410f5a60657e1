import Failures
import Foundation

/// Which file a path leads to, and in which state: another file in its place, or a write to it, gives another identity.
package struct FileIdentity: Equatable, Hashable, Sendable {
  package let device: UInt64
  package let inode: UInt64
  /// In bytes.
  package let size: Int
  /// Of the last write, in nanoseconds since 1970.
  package let modified: Int

  /// nil where there is no such file, or it can't be examined.
  package init?(of path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    self.init(status)
  }

  init(_ status: stat) {
    device = UInt64(status.st_dev)
    inode = UInt64(status.st_ino)
    size = Int(status.st_size)
    modified = Int(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int(status.st_mtim.tv_nsec)
  }
}

extension PosixFile {
  /// The identity of the open file, whatever its path leads to by now.
  package func identity() throws -> FileIdentity { FileIdentity(try status()) }
}
