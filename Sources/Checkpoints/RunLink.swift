import Failures
import Files
import Foundation

/// `latest` or `best` in a run directory: a link to one of its checkpoints, which h5py can open like the checkpoint.
struct RunLink {
  /// The kind of link, depending on the file system's abilities.
  enum Kind: Sendable {
    case symbolic, hard, copy

    init(_ traits: FileSystemTraits) {
      self = traits.symbolicLinks ? .symbolic : traits.hardLinks ? .hard : .copy
    }
  }

  let name: String
  let directory: String

  private var path: String { "\(directory)/\(name)" }

  /// Whether the name exists, even as a dangling link.
  var isPresent: Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  /// The checkpoint that the link points to; nil if there is none.
  func target() -> String? {
    if let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path) {
      let path = target.hasPrefix("/") ? target : "\(directory)/\(target)"
      return access(path, F_OK) == 0 ? path : nil
    }
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
    return CheckpointStore.checkpoints(in: directory).last { isSame($0.path, status) }?.path ?? path
  }

  /// The step of the ``target()``.
  func step() -> Int? { target().flatMap { CheckpointStore.step(ofFile: PathName($0).last) } }

  /// Points the link to a checkpoint of the directory, atomically.
  func point(to checkpoint: String, as kind: Kind) throws {
    let temporary = TemporaryFile.name(for: path)
    let file = "\(CheckpointStore.folder(of: directory))/\(checkpoint)"
    do {
      switch kind {
      // Relative, so that the run directory can be moved.
      case .symbolic: try check(symlink("checkpoints/\(checkpoint)", temporary))
      case .hard: try check(link(file, temporary))
      case .copy: try TemporaryFile.copy(file, to: temporary)
      }
      try PosixFile.move(temporary, over: path)
    } catch {
      _ = unlink(temporary)
      throw error
    }
    // rename(2) of one hard link over another of the same file does nothing.
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

  /// Whether `other` is the same file or a copy of it.
  private func isSame(_ other: String, _ status: stat) -> Bool {
    var there = stat()
    guard stat(other, &there) == 0 else { return false }
    if there.st_dev == status.st_dev, there.st_ino == status.st_ino { return true }
    guard there.st_size == status.st_size, let own = try? Seal(of: path, as: .checkpoint) else { return false }
    return (try? Seal(of: other, as: .checkpoint)) == own
  }
}
