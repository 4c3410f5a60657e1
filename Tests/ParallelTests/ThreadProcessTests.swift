import Foundation
import TestSupport
import Testing

/// Checks on threads that need a process of their own, for its signals and its exit status.
@Suite(.serialized)
struct ThreadProcessTests {
  @Test(arguments: [1, 2, 3, 4])
  func stopSignalStopsAllWorkersAfterTheSameStep(count: Int) throws {
    let outcome = try run(count, "stop-signal")
    #expect(outcome.standardError == "")
    #expect(outcome.standardOutput == "ok stop-signal ranks=\(count)\n")
    #expect(outcome.status == 0)
  }

  @Test func secondInterruptEndsTheProcess() throws {
    #expect(try run(1, "interrupt-twice").status == 128 + SIGINT)
  }

  @Test(arguments: [1, 3])
  func aFailureIsPrintedOnceAndSetsTheStatus(count: Int) throws {
    let outcome = try run(count, "fail-alone")
    #expect(outcome.status == 65)
    #expect(outcome.standardError == "error: file-\(count - 1): checksum mismatch; restore the file\n")
  }

  private func run(_ count: Int, _ name: String) throws -> ChildProcess.Outcome {
    try ChildProcess.run("worker-scenarios", ["--workers", "\(count)", name], deadline: .seconds(30))
  }
}
