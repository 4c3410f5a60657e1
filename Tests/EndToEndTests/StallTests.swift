import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// A rank that is stopped in the middle of a run, as by a debugger, a swapping machine or a dead file system.
  @Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
  struct StallTests {
    private static let host = ProcessInfo.processInfo.hostName

    private func makeWorkspace() throws -> Workspace {
      let workspace = try Workspace()
      try workspace.prepare(characters: 3000)
      try workspace.configure([
        "training.steps": "1000000", "training.checkpoint_every": "40", "training.log_every": "100000000",
      ])
      return workspace
    }

    /// Starts a run and stops some of its ranks once there is a checkpoint.
    private func stop(
      _ victims: [Int], of ranks: Int, _ workspace: Workspace, _ overrides: [String] = []
    ) throws -> (process: ChildProcess, victims: [pid_t]) {
      let process = try MPIRun.start(
        ranks: ranks, "lockstep", ["train", "run.yaml"] + overrides.flatMap { ["--set", $0] },
        environment: Workspace.environment.merging(["LOCKSTEP_STALL_WARNING": "2"]) { $1 }, directory: workspace.path)
      try wait("a checkpoint") { workspace.exists("run/latest") }
      let descendants = ChildProcess.descendants(of: process.processIdentifier)
      let found = victims.compactMap { victim in
        descendants.first { descendant in
          let environment = FileManager.default.contents(atPath: "/proc/\(descendant)/environ") ?? Data()
          return environment.split(separator: 0).contains(Data("OMPI_COMM_WORLD_RANK=\(victim)".utf8))
        }
      }
      try #require(found.count == victims.count)
      for victim in found { kill(victim, SIGSTOP) }
      return (process, found)
    }

    private func wait(_ what: String, until condition: () -> Bool) throws {
      let deadline = ContinuousClock.now + .seconds(30)
      while !condition() {
        try #require(ContinuousClock.now < deadline, "\(what) did not come")
        usleep(20_000)
      }
    }

    @Test(arguments: [(0, 2), (1, 3)])
    func aStoppedRankIsNamedAndTheRunGoesOnWithIt(victim: Int, ranks: Int) throws {
      let workspace = try makeWorkspace()
      let (process, stopped) = try stop([victim], of: ranks, workspace)
      let named = "for rank \(victim) on \(Self.host): no sign of life for "
      func warnings() -> [Substring] {
        process.standardError.split(separator: "\n").filter { $0.hasPrefix("warning: waited ") }
      }
      defer { kill(stopped[0], SIGCONT) }
      try wait("a warning") { !warnings().isEmpty }
      kill(stopped[0], SIGCONT)
      #expect(warnings().allSatisfy { $0.contains(named) && $0.contains(" of step ") }, "\(warnings())")
      process.send(SIGUSR1)
      let outcome = process.wait(deadline: .seconds(60))
      #expect(outcome.status == 75, "\(outcome.standardError)")
      #expect(outcome.errorLines == [])
    }

    @Test(arguments: [(1, 2), (0, 3)])
    func aLimitEndsTheJobWithItsLastCheckpoint(victim: Int, ranks: Int) throws {
      let workspace = try makeWorkspace()
      let (process, _) = try stop([victim], of: ranks, workspace, ["training.stall_timeout=3"])
      let stopped = ContinuousClock.now
      let outcome = process.wait(deadline: .seconds(60))
      #expect(!outcome.timedOut && outcome.status == 70, "\(outcome.standardError)")
      #expect(ContinuousClock.now - stopped < .seconds(15))
      #expect(outcome.errorLines.count == 1, "\(outcome.standardError)")
      let error = outcome.errorLines.first ?? ""
      #expect(error.hasPrefix("error: training.stall_timeout: waited 3 s in "), "\(error)")
      #expect(error.contains(" for rank \(victim) on \(Self.host): no sign of life"), "\(error)")
      #expect(error.hasSuffix("; the last checkpoint is intact: continue with --resume latest"), "\(error)")
      let step = try workspace.saved().step
      try workspace.succeed(["train", "run.yaml", "--resume", "latest", "--set", "training.steps=\(step + 3)"])
      #expect(try workspace.saved().step == step + 3)
    }

    /// As a batch system suspends and resumes it.
    @Test func aJobThatIsStoppedAsAWholeIsNotStalled() throws {
      let workspace = try makeWorkspace()
      let (process, stopped) = try stop([0, 1], of: 2, workspace, ["training.stall_timeout=3"])
      sleep(5)
      for rank in stopped { kill(rank, SIGCONT) }
      sleep(1)
      process.send(SIGUSR1)
      let outcome = process.wait(deadline: .seconds(60))
      #expect(outcome.status == 75, "\(outcome.standardError)")
      #expect(!outcome.standardError.contains("waited"), "\(outcome.standardError)")
    }

    /// Two ranks on one core cost half the speed, and nobody would know.
    @Test func ranksThatShareAProcessorAreTold() throws {
      let workspace = try makeWorkspace()
      let process = try MPIRun.start(
        ranks: 2, "taskset",
        ["-c", "0", ChildProcess.path(of: "lockstep"), "train", "run.yaml"]
          + ["--set", "training.steps=2"], environment: Workspace.environment, directory: workspace.path)
      let outcome = process.wait(deadline: .seconds(60))
      #expect(outcome.status == 0, "\(outcome.standardError)")
      let warnings = outcome.standardError.split(separator: "\n").filter { $0.hasPrefix("warning: ") }
      #expect(warnings.count == 1)
      #expect(warnings.first?.hasPrefix("warning: 2 ranks on \(Self.host) may run on 1 processor only") == true)
      #expect(warnings.first?.contains("--bind-to core") == true && warnings.first?.contains("2.0 times") == true)
    }
  }
}
