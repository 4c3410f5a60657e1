import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// Runs that are killed or told to stop.
  @Suite struct InterruptionTests {
    /// Long enough to be hit in the middle.
    private static let changes: [String: String?] = [
      "model.dropout": "0.2", "training.epochs": "20", "training.steps": nil, "training.checkpoint_every": "40",
      "training.log_every": "1000", "run.keep": "2",
    ]

    private static let arguments = ["train", "run.yaml"]

    /// What the run ends with if nobody disturbs it.
    private func undisturbed(_ workspace: Workspace) throws -> (digest: String?, saved: SavedRun) {
      try workspace.prepare(characters: 4000)
      try workspace.configure(Self.changes)
      let outcome = try workspace.succeed(Self.arguments + ["--set", "run.directory=whole"], .threads(2))
      return (outcome.weightDigest, try workspace.saved("whole"))
    }

    /// Waits until the run has written a checkpoint.
    private func waitForCheckpoint(_ workspace: Workspace, of process: ChildProcess) throws {
      let deadline = ContinuousClock.now + .seconds(30)
      while !workspace.exists("run/latest") {
        try #require(ContinuousClock.now < deadline, "no checkpoint came: \(process.standardError)")
        usleep(2000)
      }
    }

    private func expectSameEnd(
      _ workspace: Workspace, _ whole: (digest: String?, saved: SavedRun), _ workers: Workspace.Workers
    ) throws {
      let resumed = try workspace.succeed(Self.arguments + ["--resume", "latest"], workers)
      #expect(resumed.standardError.contains("resuming from"))
      #expect(resumed.weightDigest != nil && resumed.weightDigest == whole.digest)
      #expect(try workspace.saved() == whole.saved)
    }

    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
    func aKilledRankEndsTheJobAndTheRunCanGoOn() throws {
      let workspace = try Workspace()
      let whole = try undisturbed(workspace)
      for victim in [0, 1] {
        try? FileManager.default.removeItem(atPath: workspace.file("run"))
        let process = try workspace.start(Self.arguments, .ranks(2))
        try waitForCheckpoint(workspace, of: process)
        let ranks = ranks(of: process)
        try #require(ranks.count == 2)
        kill(ranks[victim], SIGKILL)
        let killed = ContinuousClock.now
        let outcome = process.wait(deadline: .seconds(60))
        #expect(!outcome.timedOut)
        #expect(outcome.status != 0 && outcome.weightDigest == nil)
        // A survivor says which rank is lost, before mpirun ends it.
        let host = ProcessInfo.processInfo.hostName
        #expect(outcome.errorLines.count == 1, "\(outcome.standardError)")
        #expect(
          outcome.errorLines.first?.hasPrefix("error: rank \(victim) on \(host): its process \(ranks[victim]) has")
            == true
            && outcome.errorLines.first?.hasSuffix("continue with --resume latest") == true)
        // mpirun may be gone a moment before the other rank.
        while ranks.contains(where: isRunning), ContinuousClock.now - killed < .seconds(10) { usleep(5000) }
        #expect(ContinuousClock.now - killed < .seconds(10))
        try expectSameEnd(workspace, whole, victim == 0 ? .ranks(2) : .threads(3))
      }
    }

    @Test func aSignalEndsTheRunAfterACheckpoint() throws {
      let workspace = try Workspace()
      let whole = try undisturbed(workspace)
      for signal in [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU] {
        try? FileManager.default.removeItem(atPath: workspace.file("run"))
        let process = try workspace.start(Self.arguments, signal == SIGTERM ? .alone : .threads(2))
        try waitForCheckpoint(workspace, of: process)
        process.send(signal)
        let outcome = process.wait(deadline: .seconds(30))
        #expect(outcome.status == 75, "signal \(signal): \(outcome.standardError)")
        let last = outcome.standardError.split(separator: "\n").last ?? ""
        let saved = try workspace.saved()
        // Whatever phase the signal met.
        let answers = outcome.standardError.matches(of: /SIG[A-Z0-9]+ received: (stopping after this|breaking off)/)
        #expect(answers.count == 1, "\(outcome.standardError)")
        #expect(last == "stopped by a signal at step \(saved.step), after a checkpoint; continue with --resume latest")
        #expect(saved.step < whole.saved.step)
        try expectSameEnd(workspace, whole, signal == SIGUSR1 ? .alone : .threads(3))
      }
    }

    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
    func aSignalThatMpirunPassesOnDoesTheSame() throws {
      let workspace = try Workspace()
      let whole = try undisturbed(workspace)
      let process = try workspace.start(Self.arguments, .ranks(3))
      try waitForCheckpoint(workspace, of: process)
      process.send(SIGUSR1)
      let outcome = process.wait(deadline: .seconds(30))
      #expect(outcome.status == 75, "\(outcome.standardError)")
      #expect(outcome.standardError.split(separator: "\n").count { $0.hasPrefix("stopped by a signal at step") } == 1)
      #expect(try workspace.saved().step < whole.saved.step)
      try expectSameEnd(workspace, whole, .ranks(2))
    }

    /// mpirun answers SIGTERM itself: it waits a little, tells the ranks, and ends with a status and last words of its
    /// own. What counts is that the ranks had the time for a checkpoint.
    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
    func terminatingMpirunLeavesACheckpoint() throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 4000)
      try workspace.configure(
        Self.changes.merging(["training.epochs": "100000", "training.checkpoint_every": "1000003"]) { $1 })
      let process = try workspace.start(Self.arguments, .ranks(2))
      try waitForCheckpoint(workspace, of: process)
      process.send(SIGTERM)
      let outcome = process.wait(deadline: .seconds(30))
      #expect(!outcome.timedOut && outcome.status != 0)
      let saved = try workspace.saved()
      #expect(outcome.standardError.contains("stopped by a signal at step \(saved.step), after a checkpoint"))
      try workspace.succeed(Self.arguments + ["--resume", "latest", "--set", "training.steps=\(saved.step + 3)"])
      #expect(try workspace.saved().step == saved.step + 3)
    }

    /// The processes of the command among the descendants of mpirun, by age.
    private func ranks(of process: ChildProcess) -> [pid_t] {
      ChildProcess.descendants(of: process.processIdentifier, named: "lockstep")
    }

    /// Whether the process is there, and not only its exit status that nobody has collected yet.
    private func isRunning(_ process: pid_t) -> Bool {
      guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8) else { return false }
      return text.split(separator: ")").last?.split(separator: " ").first != "Z"
    }
  }
}
