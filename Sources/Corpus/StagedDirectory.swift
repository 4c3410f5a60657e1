import Failures
import Foundation

/// A directory that is filled under a temporary name beside its place, and gets its real name when it is complete.
struct StagedDirectory: Sendable {
  let destination: String
  /// Hidden, and named after the process: what a killed run leaves behind is never taken for the real thing.
  let path: String
  private let replaces: Bool

  /// Creates the temporary directory, and the directories above it where they are missing.
  ///
  /// - Parameters:
  ///   - replaces: whether an existing destination may be replaced.
  ///   - marker: a file that shows that an existing directory is one of ours; nothing else is ever replaced.
  /// - Throws: ``Failure`` (can't write) where the destination exists or the place can't be written to.
  init(for destination: String, replaces: Bool, marker: String) throws {
    var name = destination
    while name.count > 1, name.hasSuffix("/") { name.removeLast() }
    self.destination = name
    self.replaces = replaces
    if Self.exists(name) {
      guard replaces else {
        throw Failure(
          .cannotWrite, "exists already", at: name, remedy: "choose another --output, or replace it with --force")
      }
      guard Self.exists("\(name)/\(marker)") else {
        throw Failure(
          .cannotWrite, "is not a corpus, so --force does not replace it", at: name,
          remedy: "choose another --output, or remove it yourself")
      }
    }
    let place = PathName(name)
    try Self.createDirectories(place.directory)
    path = "\(place.directory)/.\(place.last).partial-\(getpid())"
    try? FileManager.default.removeItem(atPath: path)
    guard mkdir(path, 0o777) == 0 else {
      throw Self.systemFailure("can't create the output directory", at: name)
    }
  }

  /// Gives the directory its name. Its files must be on the disk.
  func publish() throws {
    try Self.sync(path, what: "can't sync the directory")
    let parent = PathName(destination).directory
    if replaces, Self.exists(destination) {
      let old = "\(path).old"
      guard rename(destination, old) == 0 else { throw Self.systemFailure("can't move away", at: destination) }
      guard rename(path, destination) == 0 else {
        let failure = Self.systemFailure("can't rename the finished directory", at: destination)
        _ = rename(old, destination)
        throw failure
      }
      try? FileManager.default.removeItem(atPath: old)
    } else {
      // Only an empty directory could be replaced by rename(2); the check keeps even that from happening unasked.
      guard !Self.exists(destination) else { throw Failure(.cannotWrite, "exists already", at: destination) }
      guard rename(path, destination) == 0 else {
        throw Self.systemFailure("can't rename the finished directory", at: destination)
      }
    }
    try Self.sync(parent, what: "can't sync the directory")
  }

  func discard() {
    try? FileManager.default.removeItem(atPath: path)
  }

  private static func sync(_ path: String, what: String) throws {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw systemFailure(what, at: path) }
    defer { close(descriptor) }
    // File systems that can't sync a directory say EINVAL.
    guard fsync(descriptor) == 0 || errno == EINVAL else { throw systemFailure(what, at: path) }
  }

  private static func exists(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  private static func systemFailure(_ what: String, at place: String) -> Failure {
    Failure(.cannotWrite, what, at: place, cause: String(cString: strerror(errno)))
  }

  /// Creates a directory and those above it; one that is there already is fine.
  private static func createDirectories(_ path: String) throws {
    guard mkdir(path, 0o777) != 0, errno != EEXIST else { return }
    if errno == ENOENT, path.contains("/") {
      try createDirectories(PathName(path).directory)
      if mkdir(path, 0o777) == 0 { return }
    }
    throw systemFailure("can't create the directory", at: path)
  }
}
