import CHDF5
import CHDF5Driver

/// An HDF5 file, which is also its root group.
package final class H5File: H5Group, @unchecked Sendable {
  /// What creating does if the file exists.
  package enum Existing: Sendable {
    /// Refuse.
    case keep
    /// Replace it.
    case replace
  }

  private init(_ identifier: consuming H5Identifier, place: H5Place) {
    super.init(consume identifier, closing: "H5Fclose", place: place, owner: nil)
  }

  /// Creates a file for writing.
  /// - Parameter userBlockSize: bytes at the front that HDF5 leaves to others: 0, 512 or a larger power of two.
  /// - Throws: `H5Error` (can't write).
  package static func create(_ path: String, existing: Existing = .keep, userBlockSize: Int = 0) throws -> H5File {
    precondition(
      userBlockSize == 0 || userBlockSize >= 512 && userBlockSize.nonzeroBitCount == 1,
      "a user block has 0, 512, 1024, 2048 … bytes")
    let place = H5Place(path: path, isWriting: true)
    return try H5Library.locked {
      let creation = try H5Identifier.properties(H5P_FILE_CREATE, at: place)
      try H5Library.check(
        H5Pset_userblock(creation.raw, hsize_t(userBlockSize)), "H5Pset_userblock", at: place)
      try trackOrder(creation.raw, at: place)
      let access = try accessProperties(at: place)
      let flags = existing == .keep ? H5F_ACC_EXCL : H5F_ACC_TRUNC
      let identifier = try H5Identifier(
        H5Fcreate(path, flags, creation.raw, access.raw), "H5Fcreate", at: place, release: H5Fclose)
      return H5File(identifier, place: place)
    }
  }

  /// Opens a file for reading.
  /// - Throws: `H5Error` (bad data) if it is missing, not HDF5, or cut short.
  package static func open(_ path: String) throws -> H5File {
    let place = H5Place(path: path, isWriting: false)
    return try H5Library.locked {
      let access = try accessProperties(at: place)
      try H5Library.check(lockstep_use_read_driver(access.raw), "H5Pset_driver", at: place)
      let identifier = try H5Identifier(
        H5Fopen(path, H5F_ACC_RDONLY, access.raw), "H5Fopen", at: place, release: H5Fclose)
      return H5File(identifier, place: place)
    }
  }

  /// Hands everything written so far to the operating system.
  package func flush() throws {
    try withIdentifier { _ = try H5Library.check(H5Fflush($0, H5F_SCOPE_GLOBAL), "H5Fflush", at: place) }
  }

  private static func accessProperties(at place: H5Place) throws -> H5Identifier {
    let access = try H5Identifier.properties(H5P_FILE_ACCESS, at: place)
    // Closing a file closes what is open in it, so that close() really is the last write and its errors are seen.
    try H5Library.check(H5Pset_fclose_degree(access.raw, H5F_CLOSE_STRONG), "H5Pset_fclose_degree", at: place)
    // Files here are written under a temporary name or by one owner, and never change afterwards: a lock guards nothing,
    // and file systems without locks (some NFS and Lustre mounts) would refuse to open them.
    try H5Library.check(lockstep_H5Pdisable_file_locking(access.raw), "H5Pset_file_locking", at: place)
    return access
  }
}
