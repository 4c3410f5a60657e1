import Checkpoints
import Configuration
import Failures
import Files
import Foundation
import Signals

/// The directory of a run, as the one worker that writes there has it: locked, tried out, and in order after whatever
/// happened to the run before.
final class RunDirectory {
  let path: String
  let traits: FileSystemTraits
  private let lock: DirectoryLock
  /// Directories that this start has made, outermost first; empty ones go again if the run never begins.
  private let made: [String]

  /// Makes the directory if need be, waits for a run that is about to end there, and takes its lock.
  ///
  /// - Parameters:
  ///   - breakingLock: whether to take the lock from whoever holds it.
  ///   - say: shows a line.
  /// - Throws: ``Failure`` (can't write) where another run is using it, or it can't be written to;
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

  /// Checks that the run still is the only writer here. Throws ``Failure`` (can't write).
  func check() throws { try lock.check() }

  /// Makes a directory and those above it. Returns those that were not there.
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
