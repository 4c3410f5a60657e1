import Failures
import Files
import Foundation

extension CheckpointStore {
  /// Brings a run directory into order after a run that was killed: finishes what it had begun, removes files that it never
  /// finished, and lets `latest` lead to a checkpoint that was complete but not yet linked.
  ///
  /// Only for the holder of the directory's lock, and before anything is looked up there.
  /// - Throws: `Failure` (can't write).
  package static func recover(_ directory: String, traits: FileSystemTraits = FileSystemTraits()) throws {
    try sweep(directory)
    let link = RunLink(name: "latest", directory: directory)
    let isRewinding = try AbandonedLine.recover(directory, latest: link.step(), traits: traits)
    guard !isRewinding, let latest = link.target(), let seal = try? Seal(of: latest, as: .checkpoint),
      let run = seal["run"], let step = seal["step"].flatMap({ Int($0) })
    else { return }
    // A later one of the same run was put in place, and the run was killed before it led `latest` there.
    for entry in checkpoints(in: directory).reversed() where entry.step > step {
      guard let seal = try? Seal(of: entry.path, as: .checkpoint), seal["run"] == run,
        (try? seal.verifyDigest(of: entry.path)) != nil
      else { continue }
      return try link.point(to: PathName(entry.path).last, as: RunLink.Kind(traits))
    }
  }

  /// Makes the checkpoint of `step` the latest. Later ones leave the line of this run: they move to a directory of their own
  /// under `abandoned/`. Earlier ones that need not stay go, as after a checkpoint that is written: a run may have been
  /// killed in between.
  ///
  /// - Parameters:
  ///   - hasTail: whether metrics are abandoned, even if no checkpoint is.
  ///   - tail: called with the path of a file to make of those metrics.
  /// - Returns: that directory; nil where nothing was abandoned.
  /// - Throws: `Failure` (can't write). Killed at any moment, the directory is either as before or on its way to this, which
  ///   ``recover(_:)`` completes.
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
    // From here on the abandoned line is history.
    try link("latest", toStep: step)
    try rank(upTo: step)
    let place = try line.complete()
    try prune()
    return place
  }

  /// Removes what interrupted writers left. Only names that a run makes: the directory may hold files of the user's.
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
