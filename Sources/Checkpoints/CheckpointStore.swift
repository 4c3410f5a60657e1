import Failures
import Files
import Foundation

/// The checkpoints of one run directory: their names, which ones are kept, and the links `latest` and `best`.
///
/// Only the worker that holds the directory's lock creates a store; readers use the static functions.
package struct CheckpointStore: Sendable {
  /// The run directory. It holds the links; the checkpoints are in its `checkpoints/`.
  package let directory: String
  /// How many of the latest checkpoints are kept, besides the best.
  package let keep: Int
  /// The checkpoint that `best` points to: the one with the lowest validation loss.
  package private(set) var best: Ranked?
  /// Checkpoints that could not be read when the store was opened, and why. They are kept but not ranked.
  package private(set) var unreadable: [Unreadable] = []
  let linkKind: RunLink.Kind

  /// A checkpoint and its validation loss.
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

  /// Opens the store of a run directory, which is created if needed. Call ``recover(_:)`` first.
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

  /// The path for the checkpoint of this step.
  package func path(step: Int) -> String { Self.path(step: step, in: directory) }

  /// Registers a complete checkpoint: points `latest` to it, and `best` if its validation loss is the lowest, then
  /// removes
  /// surplus checkpoints.
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

  /// The checkpoint that `latest` points to or, without that link, the one with the highest step.
  package func latest() -> String? { Self.latest(in: directory) }

  /// The path of a checkpoint that is named by `latest`, `best` or a path.
  /// - Throws: `Failure` (bad data) if there is no such checkpoint.
  package func resolve(_ name: String) throws -> String { try Self.resolve(name, in: directory) }
}

extension CheckpointStore {
  /// Finds the checkpoint with the lowest validation loss and points `best` to it.
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

  /// The validation loss in the file's seal; for version 1, in the file itself.
  private static func validation(of entry: Entry) throws -> Double? {
    let seal = try Seal(of: entry.path, as: .checkpoint)
    if seal.formatVersion == 1 { return try CheckpointReader(path: entry.path).ownValidation() }
    return seal["validation"].flatMap(Double.init)
  }

  func link(_ name: String, toStep step: Int) throws {
    try RunLink(name: name, directory: directory).point(to: PathName(path(step: step)).last, as: linkKind)
  }

  /// Removes all but the `keep` checkpoints with the highest steps, the two that links point to, and unreadable ones.
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
    // Not cast to NSError: on Linux the underlying error is a Swift value.
    let underlying = (error as NSError).userInfo[NSUnderlyingErrorKey] as? any Error
    guard let code = (underlying as? POSIXError)?.code else { return error.localizedDescription }
    return String(cString: strerror(code.rawValue))
  }
}
