import Foundation
import TestSupport

/// The library that stands between a process and its disk; `fault_shim.c` says what it does.
enum FaultShim {
  private static let path = ChildProcess.buildDirectory + "/libfault-shim.so"

  static let isBuilt = access(path, R_OK) == 0

  /// Variables for a process whose calls below `directory` get `answer`.
  ///
  /// - Parameters:
  ///   - calls: groups of calls, or `all`.
  ///   - first: which of them is the first, from 1.
  ///   - count: how many; 0 for all from there on.
  static func variables(
    below directory: String, calls: String = "all", at first: Int, times count: Int = 1, answer: String
  ) -> [String: String] {
    [
      "LD_PRELOAD": path, "LOCKSTEP_FAULT_UNDER": directory, "LOCKSTEP_FAULT_CALLS": calls,
      "LOCKSTEP_FAULT_AT": "\(first)", "LOCKSTEP_FAULT_TIMES": "\(count)", "LOCKSTEP_FAULT_ANSWER": answer,
    ]
  }

  /// Variables for a process that is only watched: `trace` gets a line for each call below `directory`.
  static func variables(below directory: String, trace: String) -> [String: String] {
    ["LD_PRELOAD": path, "LOCKSTEP_FAULT_UNDER": directory, "LOCKSTEP_FAULT_TRACE": trace]
  }
}
