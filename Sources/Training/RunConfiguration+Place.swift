import Configuration
import Failures
import Files
import Foundation

extension RunConfiguration {
  /// Rejects the configuration in a run directory that names another directory, since the directory was copied or
  /// moved.
  ///
  /// - Parameters:
  ///   - file: the configuration's path.
  ///   - overrides: arguments of `--set`; a directory that is named there is accepted.
  /// - Throws: ``Failure`` (usage) that says what to set.
  package func checkPlace(file: String, overrides: [String]) throws {
    let directory = PathName(file).directory
    guard PathName(file).last == "config.yaml", !overrides.contains(where: { $0.hasPrefix("run.directory=") }),
      let traces = try? RunTraces(in: directory), traces.areOfARun,
      !Self.isSame(directory, run.directory)
    else { return }
    throw Failure(
      .usage, "this is the configuration of a run in \(directory), but run.directory is \(run.directory)",
      at: file,
      remedy: "set it: --set run.directory=\(directory) to use this directory, or "
        + "--set run.directory=\(run.directory) to mean the other")
  }

  private static func isSame(_ a: String, _ b: String) -> Bool {
    var (first, second) = (stat(), stat())
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev
      && first.st_ino == second.st_ino
  }
}
