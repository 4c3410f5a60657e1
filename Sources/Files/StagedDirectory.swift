import Failures
import Foundation

/// A directory that is filled under a temporary name beside its place, and gets its real name when it is complete.
///
/// Beside the temporary directory `.NAME.partial-RANDOM` lies a ``LockFile`` of that name and `.lock`, which tells a
/// directory that is being filled from what a killed process left behind: the next one that fills a directory there sweeps
/// such leftovers away.
package struct StagedDirectory: Sendable {
  package let destination: String
  /// Hidden: never taken for the real thing.
  package let path: String
  private let replaces: Bool
  private let marker: String
  private let lock: LockFile
  /// Whether names may be exchanged in one step; tests say no, as some file systems do.
  private let exchanges: Bool

  private static let mark = ".partial-"

  /// Creates the temporary directory, and the directories above it where they are missing.
  ///
  /// - Parameters:
  ///   - replaces: whether an existing destination may be replaced.
  ///   - marker: a file that shows that an existing directory is one of ours; nothing else is ever replaced.
  /// - Throws: ``Failure`` (can't write) where the destination exists or the place can't be written to.
  package init(for destination: String, replaces: Bool, marker: String, exchanges: Bool = true) throws {
    var name = destination
    while name.count > 1, name.hasSuffix("/") { name.removeLast() }
    self.destination = name
    (self.replaces, self.marker, self.exchanges) = (replaces, marker, exchanges)
    let place = PathName(name)
    Self.sweep(place.directory)
    try Self.check(name, replaces: replaces, marker: marker)
    try Self.createDirectories(place.directory)
    (path, lock) = try Self.chooseName(place, for: name)
    guard mkdir(path, 0o777) == 0 else {
      let failure = Failure.posix(.cannotWrite, "can't create the output directory", at: name)
      lock.remove()
      throw failure
    }
  }

  /// A temporary name that is not in use, and its lock.
  private static func chooseName(_ place: PathName, for name: String) throws -> (String, LockFile) {
    while true {
      let random = String(UInt64.random(in: 0 ... .max), radix: 36)
      // A long name must leave room for the rest.
      let path = "\(place.directory)/.\(shortened(place.last))\(mark)\(random)"
      do {
        if let lock = try LockFile.create("\(path).lock", content: place.last) { return (path, lock) }
      } catch var failure as Failure {
        failure.what = "can't create the output directory"
        failure.place = name
        throw failure
      }
    }
  }

  /// Gives the directory its name; its files must be on the disk. An existing one that may be replaced is exchanged for it
  /// in one step, so that there is always one under the name, and removed afterwards.
  ///
  /// Where the file system can't exchange names, the old one is moved aside first: a process that is killed between the
  /// two moves leaves both under hidden names, and the next one puts the new one in place.
  package func publish() throws {
    try PosixFile.synchronizeDirectory(path)
    let parent = PathName(destination).directory
    try Self.check(destination, replaces: replaces, marker: marker)
    if replaces, Self.exists(destination) {
      if try !exchanges || DirectoryExchange.exchange(path, with: destination) == .unsupported {
        try moveAside()
      }
    } else if try !exchanges || DirectoryExchange.move(path, to: destination) == .unsupported {
      // Only an empty directory could be replaced by rename(2); the check keeps even that from happening unasked.
      guard !Self.exists(destination) else { throw Failure(.cannotWrite, "exists already", at: destination) }
      guard rename(path, destination) == 0 else { throw Self.notRenamed(destination) }
    }
    try PosixFile.synchronizeDirectory(parent)
    discard()
  }

  /// Removes what is under the temporary name.
  package func discard() { Self.discard(path, lock) }

  private func moveAside() throws {
    let old = "\(path).old"
    guard rename(destination, old) == 0 else {
      throw Failure.posix(.cannotWrite, "can't move away", at: destination)
    }
    guard rename(path, destination) == 0 else {
      let failure = Self.notRenamed(destination)
      _ = rename(old, destination)
      throw failure
    }
  }

  private static func notRenamed(_ destination: String) -> Failure {
    Failure.posix(.cannotWrite, "can't rename the finished directory", at: destination)
  }

  private static func check(_ destination: String, replaces: Bool, marker: String) throws {
    guard exists(destination) else { return }
    guard replaces else {
      throw Failure(
        .cannotWrite, "exists already", at: destination,
        remedy: "choose another --output, or replace it with --force")
    }
    guard exists("\(destination)/\(marker)") else {
      throw Failure(
        .cannotWrite, "is not a corpus, so --force does not replace it", at: destination,
        remedy: "choose another --output, or remove it yourself")
    }
  }

  // MARK: Leftovers

  /// Removes what processes that have ended left behind in a directory.
  private static func sweep(_ parent: String) {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? [] {
      guard name.hasPrefix("."), name.hasSuffix(".lock"), name.contains(mark) else { continue }
      guard let lock = LockFile.takingOver("\(parent)/\(name)") else { continue }
      let path = String(lock.path.dropLast(".lock".count))
      let old = "\(path).old"
      if exists(old) {
        // It was killed between two moves, when the new directory was complete; without that the old one is all there is.
        let destination = "\(parent)/\(lock.content)"
        if !exists(destination) { _ = rename(exists(path) ? path : old, destination) }
        guard exists(destination) else { continue }
      }
      discard(path, lock)
    }
  }

  private static func discard(_ path: String, _ lock: LockFile) {
    for leftover in [path, "\(path).old"] { try? FileManager.default.removeItem(atPath: leftover) }
    lock.remove()
  }

  // MARK: The file system

  private static func exists(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  /// The beginning of a name, 150 bytes at most.
  private static func shortened(_ name: String) -> String {
    var result = ""
    for scalar in name.unicodeScalars {
      guard result.utf8.count < 147 else { break }
      result.unicodeScalars.append(scalar)
    }
    return result
  }

  /// Creates a directory and those above it, as `mkdir -p`: one that is there already, or that another process creates at
  /// the same moment, is fine.
  private static func createDirectories(_ path: String) throws {
    guard mkdir(path, 0o777) != 0, errno != EEXIST else { return }
    if errno == ENOENT, path.contains("/") {
      try createDirectories(PathName(path).directory)
      if mkdir(path, 0o777) == 0 || errno == EEXIST { return }
    }
    throw Failure.posix(.cannotWrite, "can't create the directory", at: path)
  }
}
