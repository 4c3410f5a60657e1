import Failures
import Files
import Foundation

extension CheckpointStore {
  /// A checkpoint file of a run directory.
  struct Entry: Equatable {
    var path: String
    var step: Int
  }

  static func folder(of directory: String) -> String { "\(directory)/checkpoints" }

  package static func path(step: Int, in directory: String) -> String {
    let digits = String(step)
    let zeros = String(repeating: "0", count: max(0, 10 - digits.count))
    return "\(folder(of: directory))/step-\(zeros)\(digits).h5"
  }

  static func names(in folder: String) -> [String] {
    (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
  }

  /// The step in a checkpoint's file name; nil if the name is not a checkpoint's.
  static func step(ofFile name: String) -> Int? {
    guard name.hasPrefix("step-"), name.hasSuffix(".h5") else { return nil }
    return Int(name.dropFirst(5).dropLast(3))
  }

  /// The checkpoints of a run directory, by step.
  static func checkpoints(in directory: String) -> [Entry] {
    names(in: folder(of: directory)).compactMap { name in
      guard let step = step(ofFile: name) else { return nil }
      let path = "\(folder(of: directory))/\(name)"
      var status = stat()
      guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
      return Entry(path: path, step: step)
    }.sorted { $0.step < $1.step }
  }

  /// The checkpoint that `latest` points to or, without that link, the one with the highest step.
  package static func latest(in directory: String) -> String? {
    RunLink(name: "latest", directory: directory).target() ?? checkpoints(in: directory).last?.path
  }

  /// The checkpoint that `best` points to.
  package static func best(in directory: String) -> String? { RunLink(name: "best", directory: directory).target() }

  /// The path of a checkpoint that is named by `latest`, `best` or a path: its own, that of a link to it, or that of a
  /// run
  /// directory, which means the latest checkpoint there.
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
      return isDirectory.boolValue ? try resolve("latest", in: name) : followingLink(name)
    }
  }

  /// The target of a link at this moment: a run may move the link between two accesses.
  private static func followingLink(_ path: String) -> String {
    guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path) else { return path }
    return target.hasPrefix("/") ? target : "\(PathName(path).directory)/\(target)"
  }
}
