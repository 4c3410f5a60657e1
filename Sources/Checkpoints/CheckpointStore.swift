import Failures
import Files
import Foundation
import HDF5

/// The checkpoints of one run directory: their names, which ones stay, and the links `latest` and `best`.
///
/// The one worker that writes makes a store; the others find checkpoints with the static functions.
package struct CheckpointStore: Sendable {
  /// The run directory. Its checkpoints are in `checkpoints/`, the links beside that.
  package let directory: String
  /// How many of the checkpoints written last stay, beside the best.
  package let keep: Int
  /// The validation loss of the checkpoint behind `best`, in nats per token.
  package private(set) var bestValidation: Double?

  /// Opens the store of a run directory, which is created if need be, and removes what interrupted writers left there.
  /// - Throws: `Failure` (can't write).
  package init(directory: String, keep: Int) throws {
    precondition(keep >= 1, "at least one checkpoint stays")
    self.directory = directory
    self.keep = keep
    do {
      try FileManager.default.createDirectory(
        atPath: Self.folder(of: directory), withIntermediateDirectories: true)
    } catch {
      throw Failure(
        .cannotWrite, "the directory can't be created", at: Self.folder(of: directory), cause: Self.reason(error))
    }
    try sweep()
    // A best checkpoint that can't be read is not worth keeping: the next validation takes its place.
    bestValidation = try? Self.best(in: directory).flatMap { path in
      _ = try Seal(of: path, as: .checkpoint)
      return try CheckpointReader(path: path, verifyDigest: false).ownValidation()
    }
  }

  /// Where the checkpoint of this step belongs.
  package func path(step: Int) -> String { Self.path(step: step, in: directory) }

  /// Where the checkpoint of this step belongs in a run directory.
  package static func path(step: Int, in directory: String) -> String {
    let digits = String(step)
    let zeros = String(repeating: "0", count: max(0, 10 - digits.count))
    return "\(folder(of: directory))/step-\(zeros)\(digits).h5"
  }

  /// Takes note of a checkpoint that is in place: points `latest` to it, and `best` if its validation loss is the lowest,
  /// then removes those that need not stay.
  /// - Parameter validation: its validation loss in nats per token, if it was validated.
  /// - Throws: `Failure` (can't write).
  package mutating func didWrite(step: Int, validation: Double? = nil) throws {
    let name = PathName(path(step: step)).last
    try link("latest", to: name)
    if let validation, !validation.isNaN, validation < bestValidation ?? .infinity {
      try link("best", to: name)
      bestValidation = validation
    }
    try prune()
  }

  /// The checkpoint behind `latest`, or if that link is gone the one with the highest step.
  package func latest() -> String? { Self.latest(in: directory) }

  /// The checkpoint behind `best`.
  package func best() -> String? { Self.best(in: directory) }

  /// The path of what a user calls `latest`, `best`, or by a path.
  /// - Throws: `Failure` (bad data) if there is no such checkpoint.
  package func resolve(_ name: String) throws -> String { try Self.resolve(name, in: directory) }
}

extension CheckpointStore {
  /// The checkpoint behind the run directory's `latest`, or if that link is gone the one with the highest step.
  package static func latest(in directory: String) -> String? {
    target(of: "latest", in: directory)
      ?? checkpoints(in: directory).max { $0.step < $1.step }?.path
  }

  /// The checkpoint behind the run directory's `best`.
  package static func best(in directory: String) -> String? { target(of: "best", in: directory) }

  /// The path of what a user calls `latest`, `best`, or by a path: of a checkpoint, or of a run directory, which means its
  /// latest.
  /// - Throws: `Failure` (bad data) if there is no such checkpoint.
  package static func resolve(_ name: String, in directory: String) throws -> String {
    switch name {
    case "latest":
      guard let path = latest(in: directory) else {
        throw Failure(
          .badData, "there is no checkpoint in this run directory", at: directory,
          remedy: "start the run without --resume, or name another directory")
      }
      return path
    case "best":
      guard let path = best(in: directory) else {
        throw Failure(
          .badData, "there is no best checkpoint in this run directory", at: directory,
          remedy: "a run has one after its first validation; try latest")
      }
      return path
    default:
      var isDirectory: ObjCBool = false
      guard FileManager.default.fileExists(atPath: name, isDirectory: &isDirectory) else {
        throw Failure(
          .badData, "there is no such checkpoint", at: name, remedy: "name a file, a run directory, latest or best")
      }
      return isDirectory.boolValue ? try resolve("latest", in: name) : name
    }
  }
}

extension CheckpointStore {
  private struct Entry {
    var path: String
    var step: Int
    /// When it was written, in nanoseconds since 1970.
    var written: Int
  }

  private static func folder(of directory: String) -> String { "\(directory)/checkpoints" }

  private static func reason(_ error: any Error) -> String {
    // As an error, not as an NSError: on Linux the underlying error is a Swift value.
    let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? any Error
    guard let code = (underlying as? POSIXError)?.code else { return error.localizedDescription }
    return String(cString: strerror(code.rawValue))
  }

  private static func names(in folder: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
  }

  private static func checkpoints(in directory: String) -> [Entry] {
    names(in: folder(of: directory)).compactMap { name in
      guard name.hasPrefix("step-"), name.hasSuffix(".h5"), let step = Int(name.dropFirst(5).dropLast(3)) else {
        return nil
      }
      let path = "\(folder(of: directory))/\(name)"
      var status = stat()
      guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
      return Entry(path: path, step: step, written: status.st_mtim.tv_sec * 1_000_000_000 + status.st_mtim.tv_nsec)
    }
  }

  /// The path that a link of the run directory leads to, if something is there.
  private static func target(of link: String, in directory: String) -> String? {
    guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(directory)/\(link)") else {
      return nil
    }
    let path = target.hasPrefix("/") ? target : "\(directory)/\(target)"
    return FileManager.default.fileExists(atPath: path) ? path : nil
  }

  /// Points a link to a checkpoint, in one step for whoever looks. The target is relative, so that the run can be moved.
  private func link(_ link: String, to name: String) throws {
    let path = "\(directory)/\(link)"
    let temporary = "\(path)\(CheckpointWriter.temporaryMark)\(getpid())"
    _ = unlink(temporary)
    guard symlink("checkpoints/\(name)", temporary) == 0 else {
      throw Failure.posix(.cannotWrite, "the link can't be made", at: path)
    }
    do {
      try PosixFile.move(temporary, over: path)
    } catch {
      _ = unlink(temporary)
      throw error
    }
    try PosixFile.synchronizeDirectory(directory)
  }

  /// Removes all but the `keep` checkpoints written last and the two behind links. Ordered by time, since a run that was
  /// resumed from an early step writes lower steps than are already there.
  private func prune() throws {
    let newestFirst = Self.checkpoints(in: directory).sorted { ($0.written, $0.step) > ($1.written, $1.step) }
    let linked = [latest(), best()]
    for entry in newestFirst.dropFirst(keep) where !linked.contains(entry.path) {
      guard unlink(entry.path) == 0 || errno == ENOENT else {
        throw Failure.posix(.cannotWrite, "the old checkpoint can't be removed", at: entry.path)
      }
    }
  }

  /// Removes what interrupted writers left behind.
  private func sweep() throws {
    for folder in [directory, Self.folder(of: directory)] {
      for name in Self.names(in: folder) where Self.isTemporary(name) {
        guard unlink("\(folder)/\(name)") == 0 || errno == ENOENT else {
          throw Failure.posix(.cannotWrite, "the unfinished file can't be removed", at: "\(folder)/\(name)")
        }
      }
    }
  }

  /// Only names that a writer or this store makes: the run directory may hold files of the user's.
  private static func isTemporary(_ name: String) -> Bool {
    guard let mark = name.range(of: CheckpointWriter.temporaryMark, options: .backwards) else { return false }
    let owner = name[..<mark.lowerBound]
    return Int(name[mark.upperBound...]) != nil
      && (owner == "latest" || owner == "best" || owner.hasPrefix("step-") && owner.hasSuffix(".h5"))
  }
}
