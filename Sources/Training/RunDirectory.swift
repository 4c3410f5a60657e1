import Checkpoints
import Configuration
import Failures
import Files
import Foundation
import Signals

/// The directory of a run, for the only worker that writes there: locked, probed, and repaired if an earlier run was
/// killed.
final class RunDirectory {
  let path: String
  let traits: FileSystemTraits
  private let lock: DirectoryLock
  /// Directories that this start has created, outermost first; removed again if they are empty at the end.
  private let made: [String]

  /// Creates the directory if needed, waits for a run that is about to end there, and acquires the lock.
  ///
  /// - Parameters:
  ///   - breakingLock: whether to take the lock from its holder.
  ///   - say: logs a line.
  /// - Throws: ``Failure`` (can't write) if another run is using the directory or it is not writable;
  ///   ``StopSignal/Interruption``.
  init(_ path: String, breakingLock: Bool, say: (String) -> Void) throws {
    self.path = path
    made = try Self.makeDirectories(path)
    do {
      lock = try DirectoryLock.acquire(in: path, breaking: breakingLock, waiting: say, interrupt: StopSignal.check)
      do {
        traits = try FileSystemTraits(probing: path)
        try CheckpointStore.recover(path, traits: traits)
      } catch {
        lock.release()
        throw error
      }
    } catch {
      Self.removeEmpty(made)
      throw error
    }
    if !traits.symbolicLinks {
      say(
        "\(path): this file system has no symbolic links, so latest and best are \(traits.hardLinks ? "hard links" : "copies")"
      )
    }
  }

  deinit { close() }

  /// Releases the directory for other runs.
  func close() {
    lock.release()
    Self.removeEmpty(made)
  }

  /// Checks that the run is still the only writer here. Throws ``Failure`` (can't write).
  func check() throws { try lock.check() }

  /// Creates a directory and its missing parents; returns the ones created.
  private static func makeDirectories(_ path: String) throws -> [String] {
    if mkdir(path, 0o777) == 0 { return [path] }
    if errno == ENOENT, path != PathName(path).directory {
      let above = try makeDirectories(PathName(path).directory)
      return above + (try makeDirectories(path))
    }
    var status = stat()
    if errno == EEXIST {
      guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
        throw Failure(
          .cannotWrite, "the directory can't be created", at: path, cause: String(cString: strerror(ENOTDIR)))
      }
      return []
    }
    throw Failure.posix(.cannotWrite, "the directory can't be created", at: path)
  }

  private static func removeEmpty(_ directories: [String]) {
    for directory in directories.reversed() { _ = rmdir(directory) }
  }
}
