import Failures
import Files
import Foundation

/// The checkpoints of one run directory: their names, which ones stay, and the links `latest` and `best`.
///
/// The one worker that holds the directory's lock makes a store; readers find checkpoints with the static functions.
package struct CheckpointStore: Sendable {
  /// The run directory. Its checkpoints are in `checkpoints/`, the links beside that.
  package let directory: String
  /// How many of the checkpoints written last stay, beside the best.
  package let keep: Int
  /// The checkpoint behind `best`: the one with the lowest validation loss of its own.
  package private(set) var best: Ranked?
  /// Checkpoints that could not be read when the store was opened, and why. They stay, and are not ranked.
  package private(set) var unreadable: [Unreadable] = []
  let linkKind: RunLink.Kind

  /// A checkpoint with the validation loss that it states.
  package struct Ranked: Equatable, Sendable {
    package let step: Int
    /// Nats per token.
    package let validation: Double

    package init(step: Int, validation: Double) {
      (self.step, self.validation) = (step, validation)
    }
  }

  package struct Unreadable: Sendable {
    package let path: String
    package let reason: String
  }

  /// Opens the store of a run directory, which is created if need be, after ``recover(_:)``.
  /// - Throws: `Failure` (can't write).
  package init(directory: String, keep: Int, traits: FileSystemTraits = FileSystemTraits()) throws {
    precondition(keep >= 1, "at least one checkpoint stays")
    (self.directory, self.keep) = (directory, keep)
    linkKind = RunLink.Kind(traits)
    do {
      try FileManager.default.createDirectory(
        atPath: Self.folder(of: directory), withIntermediateDirectories: true)
    } catch {
      throw Failure(
        .cannotWrite, "the directory can't be created", at: Self.folder(of: directory), cause: Self.reason(error))
    }
    try rank()
  }

  /// Where the checkpoint of this step belongs.
  package func path(step: Int) -> String { Self.path(step: step, in: directory) }

  /// Takes note of a checkpoint that is in place: points `latest` to it, and `best` if its validation loss is the lowest,
  /// then removes those that need not stay.
  /// - Parameter validation: its validation loss in nats per token, if it was validated.
  /// - Throws: `Failure` (can't write).
  package mutating func didWrite(step: Int, validation: Double? = nil) throws {
    try link("latest", toStep: step)
    if let validation, !validation.isNaN, validation < best?.validation ?? .infinity {
      try link("best", toStep: step)
      best = Ranked(step: step, validation: validation)
    }
    try prune()
  }

  /// The checkpoint behind `latest`, or if that link is gone the one with the highest step.
  package func latest() -> String? { Self.latest(in: directory) }

  /// The path of what a user calls `latest`, `best`, or by a path.
  /// - Throws: `Failure` (bad data) if there is no such checkpoint.
  package func resolve(_ name: String) throws -> String { try Self.resolve(name, in: directory) }
}

extension CheckpointStore {
  /// Finds the best among the checkpoints that are here, each by its own validation loss, and points `best` to it.
  mutating func rank(upTo last: Int = .max) throws {
    best = nil
    unreadable = []
    for entry in Self.checkpoints(in: directory) where entry.step <= last {
      do {
        guard let validation = try Self.validation(of: entry), !validation.isNaN else { continue }
        if validation < best?.validation ?? .infinity { best = Ranked(step: entry.step, validation: validation) }
      } catch {
        unreadable.append(Unreadable(path: entry.path, reason: "\(error)"))
      }
    }
    let link = RunLink(name: "best", directory: directory)
    if let best {
      if link.step() != best.step { try self.link("best", toStep: best.step) }
    } else if link.isPresent, link.target().map({ target in !unreadable.contains { $0.path == target } }) ?? true {
      try link.remove()
    }
  }

  /// What the file's seal says of its validation; a file of version 1 is read for it.
  private static func validation(of entry: Entry) throws -> Double? {
    let seal = try Seal(of: entry.path, as: .checkpoint)
    if seal.formatVersion == 1 { return try CheckpointReader(path: entry.path).ownValidation() }
    return seal["validation"].flatMap(Double.init)
  }

  func link(_ name: String, toStep step: Int) throws {
    try RunLink(name: name, directory: directory).point(to: PathName(path(step: step)).last, as: linkKind)
  }

  /// Removes all but the `keep` checkpoints of the highest steps, the two behind links, and those that can't be read.
  func prune() throws {
    let newestFirst = Self.checkpoints(in: directory).sorted { $0.step > $1.step }
    let spared = [latest(), best.map { path(step: $0.step) }] + unreadable.map(\.path)
    for entry in newestFirst.dropFirst(keep) where !spared.contains(entry.path) {
      guard unlink(entry.path) == 0 || errno == ENOENT else {
        throw Failure.posix(.cannotWrite, "the old checkpoint can't be removed", at: entry.path)
      }
    }
  }

  private static func reason(_ error: any Error) -> String {
    // As an error, not as an NSError: on Linux the underlying error is a Swift value.
    let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? any Error
    guard let code = (underlying as? POSIXError)?.code else { return error.localizedDescription }
    return String(cString: strerror(code.rawValue))
  }
}
