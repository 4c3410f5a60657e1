import Foundation
import TestSupport
import Testing

/// The checks of `worker-scenarios` under mpirun. One at a time: ranks wait busily, and the cores are few.
@Suite(.serialized, .enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct RankTests {
  @Test(
    arguments: [
      "exchange", "all-gather", "broadcast", "all-reduce", "share", "many-steps", "small-messages", "agree",
      "stop-signal",
    ], [1, 2, 3, 4])
  func scenario(_ name: String, ranks: Int) throws {
    let outcome = try MPIRun.run(ranks: ranks, "worker-scenarios", [name], deadline: .seconds(60))
    #expect(!outcome.timedOut)
    #expect(messages(in: outcome) == [])
    #expect(outcome.standardOutput == "ok \(name) ranks=\(ranks)\n")
    #expect(outcome.status == 0)
  }

  @Test(arguments: [2, 3, 4])
  func ranksOfOneMachineShareMemory(ranks: Int) throws {
    let program = ChildProcess.path(of: "worker-scenarios")
    // A limit on the size of files holds for anonymous ones too.
    let limited = ["-c", "ulimit -f 1000000; exec \"$0\" share apart", program]
    for (executable, arguments) in [
      (program, ["share", "together"]), (program, ["--no-shared-memory", "share", "apart"]), ("/bin/bash", limited),
    ] {
      let outcome = try MPIRun.run(ranks: ranks, executable, arguments, deadline: .seconds(60))
      #expect(outcome.standardOutput == "ok share ranks=\(ranks)\n", "\(outcome.standardError)")
      #expect(messages(in: outcome) == [] && outcome.status == 0)
    }
  }

  /// AddressSanitizer announces a request for more memory than there can be, which one scenario makes on purpose.
  private func messages(in outcome: ChildProcess.Outcome) -> [Substring] {
    outcome.standardError.split(separator: "\n").filter { !$0.contains("AddressSanitizer failed to allocate") }
  }

  @Test(.enabled(if: ProcessInfo.processInfo.environment["LOCKSTEP_HUGE_TESTS"] == "1", "takes 5 GB of memory"))
  func messagesOfMoreThanTwoGibibytesArrive() throws {
    let outcome = try MPIRun.run(ranks: 2, "worker-scenarios", ["huge-message"], deadline: .seconds(600))
    #expect(outcome.standardOutput == "ok huge-message ranks=2\n")
    #expect(outcome.status == 0, "\(outcome.standardError)")
  }

  @Test(arguments: ["fail-alone", "abandon"], [2, 4])
  func aRankThatFailsAloneEndsTheJob(_ name: String, ranks: Int) throws {
    for failing in [0, ranks - 1] {
      let outcome = try MPIRun.run(ranks: ranks, "worker-scenarios", [name, "\(failing)"], deadline: .seconds(20))
      #expect(!outcome.timedOut)
      #expect(outcome.status == 65)
      #expect(
        errorLines(outcome) == [
          "error: rank \(failing) on \(ProcessInfo.processInfo.hostName): file-\(failing): checksum mismatch; restore the file"
        ])
      #expect(outcome.wallTime < .seconds(10))
    }
  }

  @Test func anAgreedFailureIsPrintedOnce() throws {
    let host = ProcessInfo.processInfo.hostName
    for ranks in 2...3 {
      let outcome = try MPIRun.run(ranks: ranks, "worker-scenarios", ["fail-together"], deadline: .seconds(20))
      #expect(outcome.status == 65)
      let expected = (1..<ranks).map { "error: rank \($0) on \(host): file-\($0): checksum mismatch; restore the file" }
      #expect(errorLines(outcome) == expected)
    }
  }

  /// Also where the ranks have not asked each other.
  @Test func anErrorThatEndsAllRanksIsPrintedOnce() throws {
    let outcome = try MPIRun.run(ranks: 3, "worker-scenarios", ["fail-alike"], deadline: .seconds(20))
    #expect(outcome.status == 65)
    #expect(errorLines(outcome) == ["error: file-0: checksum mismatch; restore the file"])
  }

  @Test(arguments: [0, 2])
  func aKilledRankEndsTheJob(failing: Int) throws {
    let outcome = try MPIRun.run(ranks: 3, "worker-scenarios", ["kill", "\(failing)"], deadline: .seconds(20))
    #expect(!outcome.timedOut)
    #expect(outcome.status != 0)
    #expect(outcome.wallTime < .seconds(10))
    let host = ProcessInfo.processInfo.hostName
    #expect(errorLines(outcome).count == 1, "\(outcome.standardError)")
    #expect(errorLines(outcome).first?.hasPrefix("error: rank \(failing) on \(host): its process ") == true)
  }

  @Test func wrongUsageIsPrintedOnce() throws {
    let outcome = try MPIRun.run(ranks: 3, "worker-scenarios", ["no-such-scenario"], deadline: .seconds(20))
    #expect(outcome.status == 64)
    #expect(errorLines(outcome).count == 1)
  }

  @Test func threadsAndRanksExcludeEachOther() throws {
    let both = try MPIRun.run(ranks: 2, "worker-scenarios", ["--workers", "2", "agree"], deadline: .seconds(20))
    #expect(both.status == 64)
    #expect(errorLines(both).count == 1)
    #expect(errorLines(both).first?.contains("choose one") == true)

    let single = try MPIRun.run(ranks: 1, "worker-scenarios", ["--workers", "2", "agree"], deadline: .seconds(20))
    #expect(single.standardOutput == "ok agree ranks=2\n")
    #expect(single.status == 0)
  }

  /// Our own lines, without what mpirun adds to them.
  private func errorLines(_ outcome: ChildProcess.Outcome) -> [String] {
    outcome.standardError.split(separator: "\n").map(String.init).filter { $0.hasPrefix("error: ") }
  }
}
