import Foundation
import TestSupport

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

  static let hasTorch = ProcessInfo.processInfo.environment["LOCKSTEP_TORCH_PYTHON"] != nil && has(["torch", "h5py"])
}
