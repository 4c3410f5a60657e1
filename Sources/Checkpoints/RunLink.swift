import Failures
import Files
import Foundation

/// `latest` or `best` of a run directory: a name that leads to one of its checkpoints, and that h5py opens like one.
struct RunLink {
  /// What the name is, by what the file system can do.
  enum Kind: Sendable {
    case symbolic, hard, copy

    init(_ traits: FileSystemTraits) {
      self = traits.symbolicLinks ? .symbolic : traits.hardLinks ? .hard : .copy
    }
  }

  let name: String
  let directory: String

  private var path: String { "\(directory)/\(name)" }

  /// Whether there is something of this name, wherever it leads.
  var isPresent: Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  /// The checkpoint that the name leads to; nil if there is none.
  func target() -> String? {
    if let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path) {
      let path = target.hasPrefix("/") ? target : "\(directory)/\(target)"
      return access(path, F_OK) == 0 ? path : nil
    }
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return CheckpointStore.checkpoints(in: directory).last { isSame($0.path, status) }?.path ?? path
  }

  /// The step of that checkpoint.
  func step() -> Int? { target().flatMap { CheckpointStore.step(ofFile: PathName($0).last) } }

  /// Leads the name to a checkpoint of the directory, atomically.
  func point(to checkpoint: String, as kind: Kind) throws {
    let temporary = TemporaryFile.name(for: path)
    let file = "\(CheckpointStore.folder(of: directory))/\(checkpoint)"
    do {
      switch kind {
      // Relative, so that the run can be moved.
      case .symbolic: try check(symlink("checkpoints/\(checkpoint)", temporary))
      case .hard: try check(link(file, temporary))
      case .copy: try TemporaryFile.copy(file, to: temporary)
      }
      try PosixFile.move(temporary, over: path)
    } catch {
      _ = unlink(temporary)
      throw error
    }
    // Renaming one name of a file over another of its names leaves both.
    if kind == .hard { _ = unlink(temporary) }
    try PosixFile.synchronizeDirectory(directory)
  }

  func remove() throws {
    guard unlink(path) == 0 || errno == ENOENT else {
      throw Failure.posix(.cannotWrite, "the link can't be removed", at: path)
    }
  }

  private func check(_ status: Int32) throws {
    guard status == 0 else { throw Failure.posix(.cannotWrite, "the link can't be made", at: path) }
  }

  /// Whether the file is the same one, or a copy.
  private func isSame(_ other: String, _ status: stat) -> Bool {
    var there = stat()
    guard stat(other, &there) == 0 else { return false }
    if there.st_dev == status.st_dev, there.st_ino == status.st_ino { return true }
    guard there.st_size == status.st_size, let own = try? Seal(of: path, as: .checkpoint) else { return false }
    return (try? Seal(of: other, as: .checkpoint)) == own
  }
}
