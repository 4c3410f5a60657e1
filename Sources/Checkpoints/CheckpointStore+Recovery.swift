import Failures
import Files
import Foundation

extension CheckpointStore {
  /// Repairs a run directory after a run was killed: completes an abandoned line, removes unfinished files, and points
  /// `latest` to a checkpoint that was complete but not yet linked.
  ///
  /// The caller must hold the directory's lock and must not have looked up anything there yet.
  /// - Throws: `Failure` (can't write).
  package static func recover(_ directory: String, traits: FileSystemTraits = FileSystemTraits()) throws {
    try sweep(directory)
    let link = RunLink(name: "latest", directory: directory)
    let isRewinding = try AbandonedLine.recover(directory, latest: link.step(), traits: traits)
    guard !isRewinding, let latest = link.target(), let seal = try? Seal(of: latest, as: .checkpoint),
      let run = seal["run"], let step = seal["step"].flatMap({ Int($0) })
    else { return }
    // The run may have been killed between completing a later checkpoint and pointing `latest` to it.
    for entry in checkpoints(in: directory).reversed() where entry.step > step {
      guard let seal = try? Seal(of: entry.path, as: .checkpoint), seal["run"] == run,
        (try? seal.verifyDigest(of: entry.path)) != nil
      else { continue }
      return try link.point(to: PathName(entry.path).last, as: RunLink.Kind(traits))
    }
  }

  /// Makes the checkpoint of `step` the latest and moves later ones to a directory of their own under `abandoned/`.
  ///
  /// Also removes surplus earlier checkpoints, as ``didWrite(step:validation:)`` does: a run may have been killed
  /// before it
  /// could.
  ///
  /// - Parameters:
  ///   - hasTail: whether metrics are abandoned, even if no checkpoint is.
  ///   - tail: writes those metrics to a file at the path that it is given.
  /// - Returns: the directory under `abandoned/`; nil if nothing was abandoned.
  /// - Throws: `Failure` (can't write). If the process is killed at any point, the directory is either unchanged or
  ///   ``recover(_:)`` completes the change.
  package mutating func rewind(
    to step: Int, hasTail: Bool, savingTail tail: (String) throws -> Void
  ) throws -> String? {
    guard hasTail || Self.checkpoints(in: directory).contains(where: { $0.step > step }) else {
      if RunLink(name: "latest", directory: directory).step() != step { try link("latest", toStep: step) }
      try prune()
      return nil
    }
    let line = try AbandonedLine(directory: directory, after: step)
    try tail("\(line.path)/metrics.jsonl")
    try PosixFile.synchronizeDirectory(line.path)
    // From here on the line counts as abandoned.
    try link("latest", toStep: step)
    try rank(upTo: step)
    let place = try line.complete()
    try prune()
    return place
  }

  /// Removes what interrupted writers left. Only names that a run uses: the directory may hold the user's own files.
  private static func sweep(_ directory: String) throws {
    for folder in [directory, folder(of: directory)] {
      for name in names(in: folder) where isLeftover(name) {
        guard unlink("\(folder)/\(name)") == 0 || errno == ENOENT else {
          throw Failure.posix(.cannotWrite, "the unfinished file can't be removed", at: "\(folder)/\(name)")
        }
      }
    }
  }

  private static func isLeftover(_ name: String) -> Bool {
    if ["lock.now-", "lock.broken-"].contains(where: name.hasPrefix) { return true }
    guard let owner = TemporaryFile.owner(of: name) else { return false }
    return ["latest", "best", "config.yaml", "metrics.jsonl", ".probe", ".probe-link"].contains(owner)
      || step(ofFile: owner) != nil
  }
}
