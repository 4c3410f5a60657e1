import Foundation
import TestSupport
import Testing

/// What the command printed once and must print again: files in `Golden/`.
///
/// With LOCKSTEP_UPDATE_GOLDEN=1 in the environment they are written anew, for a person to read before they are kept.
enum GoldenFile {
  private static let directory = (#filePath as NSString).deletingLastPathComponent + "/Golden"
  private static let updates = ProcessInfo.processInfo.environment["LOCKSTEP_UPDATE_GOLDEN"] == "1"

  /// Compares `text` with the golden file `name`.
  static func check(_ text: String, _ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let path = "\(directory)/\(name).txt"
    if updates { try text.write(toFile: path, atomically: true, encoding: .utf8) }
    let golden = try? String(contentsOfFile: path, encoding: .utf8)
    #expect(text == golden, "differs from \(path)", sourceLocation: sourceLocation)
  }

  /// A session as it looks in a terminal: the command, what it printed, its exit status.
  static func transcript(
    _ arguments: [String], _ outcome: ChildProcess.Outcome, _ workspace: Workspace, launcher: String = ""
  ) -> String {
    let words = arguments.map { $0.contains(" ") || $0.isEmpty ? "'\($0)'" : $0 }
    // mpirun frames what a failing rank leads to with lines of its own, which differ between versions.
    let errors = launcher.isEmpty ? outcome.standardError : outcome.errorLines.map { $0 + "\n" }.joined()
    return (["$ \(launcher)lockstep"] + words).joined(separator: " ") + "\n"
      + (outcome.standardOutput + errors).replacing(workspace.path, with: "DIRECTORY")
      .replacing("on \(ProcessInfo.processInfo.hostName):", with: "on HOST:")
      + "[exit status \(outcome.status)]\n"
  }
}
