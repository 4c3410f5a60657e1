import Failures
import Files
import Foundation

/// The checkpoints and metrics after the step from which a run is resumed, kept in a directory such as
/// `abandoned/after-0000000020`.
///
/// The directory has a temporary name until it is complete. If the run is killed before that, `latest` alone decides
/// whether the line was abandoned: it was if `latest` already points to the step in the directory's name.
struct AbandonedLine {
  let path: String
  private let directory: String
  private let step: Int

  private static let mark = ".unfinished"
  private static let prefix = "after-"

  /// Creates the directory, under its temporary name, for what comes after `step`.
  init(directory: String, after step: Int) throws {
    (self.directory, self.step) = (directory, step)
    let folder = Self.folder(of: directory)
    let digits = String(step)
    path = "\(folder)/\(Self.prefix)\(String(repeating: "0", count: max(0, 10 - digits.count)))\(digits)\(Self.mark)"
    for path in [folder, path] {
      guard mkdir(path, 0o777) == 0 || errno == EEXIST else {
        throw Failure.posix(.cannotWrite, "can't create the directory for abandoned files", at: path)
      }
    }
    try PosixFile.synchronizeDirectory(folder)
    try PosixFile.synchronizeDirectory(directory)
  }

  private init(directory: String, unfinished name: String, step: Int) {
    (self.directory, self.step, path) = (directory, step, "\(Self.folder(of: directory))/\(name)")
  }

  private static func folder(of directory: String) -> String { "\(directory)/abandoned" }

  /// Moves the later checkpoints here and gives the directory its final name. `latest` and `best` must point elsewhere
  /// by now.
  ///
  /// - Returns: the final path of the directory.
  func complete() throws -> String {
    for entry in CheckpointStore.checkpoints(in: directory) where entry.step > step {
      try PosixFile.move(entry.path, over: "\(path)/\(PathName(entry.path).last)")
    }
    try PosixFile.synchronizeDirectory(path)
    try PosixFile.synchronizeDirectory(CheckpointStore.folder(of: directory))
    let name = String(path.dropLast(Self.mark.count))
    var place = name
    var count = 1
    // An earlier abandoned line is never overwritten.
    while access(place, F_OK) == 0 {
      count += 1
      place = "\(name)-\(count)"
    }
    try PosixFile.move(path, over: place)
    try PosixFile.synchronizeDirectory(Self.folder(of: directory))
    return place
  }

  /// Completes a line that a killed run had abandoned; removes one that it had only begun to abandon.
  ///
  /// - Returns: whether a line was completed.
  static func recover(_ directory: String, latest: Int?, traits: FileSystemTraits) throws -> Bool {
    var isComplete = false
    for name in CheckpointStore.names(in: folder(of: directory)) where name.hasPrefix(prefix) && name.hasSuffix(mark) {
      guard let step = Int(name.dropFirst(prefix.count).dropLast(mark.count)) else { continue }
      let line = AbandonedLine(directory: directory, unfinished: name, step: step)
      let files = CheckpointStore.names(in: line.path)
      if step == latest || files.contains(where: { CheckpointStore.step(ofFile: $0) != nil }) {
        _ = try line.complete()
        isComplete = true
      } else {
        for file in files { _ = unlink("\(line.path)/\(file)") }
        guard rmdir(line.path) == 0 || errno == ENOENT else {
          throw Failure.posix(.cannotWrite, "the unfinished directory can't be removed", at: line.path)
        }
      }
    }
    return isComplete
  }
}
