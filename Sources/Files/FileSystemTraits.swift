import Failures
import Foundation

/// What the file system of a directory can do, found by trying.
package struct FileSystemTraits: Equatable, Sendable {
  package var symbolicLinks = true
  package var hardLinks = true

  package init(symbolicLinks: Bool = true, hardLinks: Bool = true) {
    (self.symbolicLinks, self.hardLinks) = (symbolicLinks, hardLinks)
  }

  /// Writes, syncs and renames small files in a directory as a run will, and removes them again.
  ///
  /// - Throws: `Failure` (can't write) for what a run can't do without.
  package init(probing directory: String) throws {
    let (file, link) = ("\(directory)/.probe", "\(directory)/.probe-link")
    let (temporary, temporaryLink) = (TemporaryFile.name(for: file), TemporaryFile.name(for: link))
    defer { for path in [temporary, temporaryLink] { _ = unlink(path) } }
    do {
      let probe = try PosixFile(temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW)
      try probe.write(Array("probe\n".utf8), at: 0)
      try probe.synchronize()
    }
    symbolicLinks = symlink("nowhere", temporaryLink) == 0
    _ = unlink(temporaryLink)
    hardLinks = Foundation.link(temporary, temporaryLink) == 0
    // A run renames over what is there.
    if !hardLinks { try TemporaryFile.copy(temporary, to: temporaryLink) }
    try PosixFile.move(temporary, over: temporaryLink)
    try PosixFile.synchronizeDirectory(directory)
  }
}
