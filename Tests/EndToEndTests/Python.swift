import Foundation
import TestSupport
import Testing

/// A Python that tests may compare with; no part of the project needs one.
enum Python {
  /// The interpreter in LOCKSTEP_TORCH_PYTHON, or the one in PATH.
  static let interpreter = ProcessInfo.processInfo.environment["LOCKSTEP_TORCH_PYTHON"] ?? "python3"

  /// Whether there is an interpreter that can import these modules.
  static func has(_ modules: [String]) -> Bool {
    let outcome = try? ChildProcess.run(
      interpreter, ["-c", "import " + modules.joined(separator: ", ")], deadline: .seconds(60))
    return outcome?.status == 0
  }

  static let hasTorch = has(["torch", "h5py"])

  static let needsTorch: Comment =
    "NOT COMPARED WITH PYTORCH: no Python with torch and h5py in PATH, and none is named by LOCKSTEP_TORCH_PYTHON"
}
