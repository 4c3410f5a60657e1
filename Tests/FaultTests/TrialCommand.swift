import Foundation
import TestSupport

/// The command in a process of its own that can harm nothing: its time, its memory and its files are limited.
struct TrialCommand {
  let arguments: [String]
  let directory: String
  var environment: [String: String] = [:]

  /// Of a process's addresses. A crash for want of memory is a finding: lengths in files are checked before they are used.
  private static let addressSpace = 6 << 30
  private static let processorSeconds = 10
  private static let fileSize = 256 << 20
  /// Many times the processor's, for machines that are busy with other things.
  static let deadline = Duration.seconds(120)

  static let variables = ["COLUMNS": "100", "LC_ALL": "C.UTF-8", "SWIFT_BACKTRACE": "enable=no"]

  func run() throws -> ChildProcess.Outcome {
    // A sanitizer reserves terabytes of addresses for its own books.
    let memory = TestMode.isSanitized ? "" : "ulimit -v \(Self.addressSpace >> 10); "
    let limits = "ulimit -c 0; \(memory)ulimit -t \(Self.processorSeconds); ulimit -f \(Self.fileSize >> 9); "
    return try ChildProcess.run(
      "sh", ["-c", limits + "exec \"$0\" \"$@\"", ChildProcess.path(of: "lockstep")] + arguments,
      environment: ChildProcess.inheritedEnvironment.merging(Self.variables) { $1 }.merging(environment) { $1 },
      directory: directory, deadline: Self.deadline)
  }
}

extension ChildProcess.Outcome {
  /// What no run of the command may do, however it was treated; nil if it did nothing of the kind.
  ///
  /// - Parameter killed: whether the process was killed on purpose.
  func misbehaviour(killed: Bool = false) -> String? {
    if timedOut { return "hung" }
    if status > 128, !killed, Self.crashes.contains(status - 128) {
      return "crashed by signal \(status - 128)\(excerpt)"
    }
    for trace in Self.traces where standardError.contains(trace) { return "printed '\(trace)'\(excerpt)" }
    return nil
  }

  /// Our own messages.
  var errorLines: [String] {
    standardError.split(separator: "\n").map(String.init).filter { $0.hasPrefix("error: ") }
  }

  /// The digest that `train` prints at its end.
  var weightDigest: String? {
    standardOutput.split(separator: "\n").first { $0.hasPrefix("weights sha256 ") }?.split(separator: " ").last
      .map(String.init)
  }

  /// Our messages, or else the end of standard error, for a report.
  var excerpt: String {
    let lines = errorLines.isEmpty ? standardError.split(separator: "\n").suffix(4).map(String.init) : errorLines
    return lines.isEmpty ? "" : " (\(lines.joined(separator: " | ").suffix(600)))"
  }

  private static let crashes = [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGKILL, SIGXCPU, SIGXFSZ]

  /// What the runtime, the C library, HDF5 and the sanitizers print when a program fails that did not check.
  private static let traces = [
    "Fatal error", "HDF5-DIAG", "Backtrace", "Current stack trace", "terminate called", "corrupted", "double free",
    "free(): ", "malloc(): ", "Sanitizer", "runtime error:", "NSError", "Error Domain=",
  ]
}
