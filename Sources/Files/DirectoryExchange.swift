import CLinux
import Failures
import Foundation

/// Puts directories in place in one step, where the file system can.
package enum DirectoryExchange {
  /// What a rename did.
  package enum Outcome: Sendable { case done, unsupported }

  /// Gives `source` the name `destination`, which must be free: another file is never replaced.
  /// - Throws: ``Failure`` (can't write), also where the name is taken.
  package static func move(_ source: String, to destination: String) throws -> Outcome {
    try rename(source, destination, UInt32(LS_RENAME_NOREPLACE))
  }

  /// Exchanges the names of two directories: at no moment is either name free.
  /// - Throws: ``Failure`` (can't write), also where one of them does not exist.
  package static func exchange(_ source: String, with destination: String) throws -> Outcome {
    try rename(source, destination, UInt32(LS_RENAME_EXCHANGE))
  }

  private static func rename(_ source: String, _ destination: String, _ flags: UInt32) throws -> Outcome {
    guard renameat2(AT_FDCWD, source, AT_FDCWD, destination, flags) != 0 else { return .done }
    // NFS and some others know no flags; kernels before 3.15 not even the call.
    if errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP { return .unsupported }
    if errno == EEXIST { throw Failure(.cannotWrite, "exists already", at: destination) }
    throw Failure.posix(.cannotWrite, "can't be put in place", at: destination)
  }
}
