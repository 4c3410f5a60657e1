import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// Stop signals in each phase of each command: acknowledged at once, and obeyed.
  @Suite struct SignalTests {
    /// Waits until `condition` holds while the process is at work.
    private func wait(for what: String, of process: ChildProcess, _ condition: () -> Bool) throws {
      let deadline = ContinuousClock.now + .seconds(30)
      while !condition() {
        try #require(ContinuousClock.now < deadline, "\(what) did not come: \(process.standardError)")
        usleep(2000)
      }
    }

    /// Sends a signal and expects its line on standard error within a second.
    private func signal(
      _ process: ChildProcess, _ number: Int32, answer: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      process.send(number)
      let sent = ContinuousClock.now
      try wait(for: answer, of: process) { process.standardError.contains(answer) }
      #expect(ContinuousClock.now - sent < .seconds(1), "\(answer)", sourceLocation: sourceLocation)
    }

    /// Whether the process catches SIGTERM by now.
    private func catchesSignals(_ process: ChildProcess) -> Bool { catchesSignals(process.processIdentifier) }

    private func catchesSignals(_ process: pid_t) -> Bool {
      let status = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
      let mask = status.split(separator: "\n").first { $0.hasPrefix("SigCgt:") }?.split(separator: "\t").last ?? ""
      return (UInt64(mask, radix: 16) ?? 0) & 1 << UInt64(SIGTERM - 1) != 0
    }

    /// A corpus whose validation takes seconds, at the end of each of two epochs of a few steps.
    private func longValidation() throws -> Workspace {
      let workspace = try Workspace()
      try workspace.write(Workspace.text(characters: 700), to: "text.txt")
      try workspace.write(Workspace.text(characters: 60_000), to: "valid.txt")
      try workspace.succeed(
        ["prepare", "text.txt", "--valid", "valid.txt", "--test", "text.txt", "--output", "corpus"])
      try workspace.configure([
        "model.hidden_size": "256", "model.embedding_size": "64", "training.steps": nil, "training.epochs": "2",
        "training.log_every": "1", "schedule.name": "plateau", "schedule.patience": "0",
      ])
      return workspace
    }

    @Test(arguments: MPIRun.isAvailable ? [Workspace.Workers.alone, .threads(2), .ranks(2)] : [.alone, .threads(2)])
    func aValidationIsBrokenOffAndMadeUpFor(workers: Workspace.Workers) throws {
      let workspace = try longValidation()
      let whole = try workspace.succeed(["train", "run.yaml", "--set", "run.directory=whole"], workers)
      let undisturbed = try workspace.saved("whole")
      let steps = undisturbed.step / 2
      let process = try workspace.start(["train", "run.yaml"], workers)
      try wait(for: "the last step of the epoch", of: process) {
        process.standardError.contains("step \(steps)/\(undisturbed.step)")
      }
      usleep(200_000)
      try signal(process, SIGUSR1, answer: "SIGUSR1 received: breaking off the validation, with a checkpoint")
      let outcome = process.wait(deadline: .seconds(30))
      #expect(outcome.status == 75, "\(outcome.standardError)")
      // One line from each host.
      #expect(outcome.standardError.matches(of: /SIGUSR1 received/).count == 1)
      #expect(!outcome.standardError.contains("validation loss"))
      #expect(try workspace.saved().step == steps && !workspace.exists("run/best"))

      let resumed = try workspace.succeed(["train", "run.yaml", "--resume", "latest"])
      #expect(resumed.weightDigest != nil && resumed.weightDigest == whole.weightDigest)
      #expect(try workspace.saved() == undisturbed)
      let rows = { (directory: String) in
        try workspace.read("\(directory)/metrics.jsonl").split(separator: "\n").filter { $0.contains("valid_") }
      }
      #expect(try rows("run") == rows("whole"))
      #expect(
        try FileManager.default.destinationOfSymbolicLink(atPath: workspace.file("run/best"))
          == FileManager.default.destinationOfSymbolicLink(atPath: workspace.file("whole/best")))
    }

    @Test func theLastValidationIsMadeUpForToo() throws {
      let workspace = try longValidation()
      let process = try workspace.start(["train", "run.yaml", "--set", "training.epochs=1"])
      try wait(for: "the last step", of: process) { process.standardError.contains(#/step ([0-9]+)/\1 /#) }
      usleep(200_000)
      try signal(process, SIGTERM, answer: "SIGTERM received: breaking off the validation")
      #expect(process.wait(deadline: .seconds(30)).status == 75)
      let resumed = try workspace.succeed(
        ["train", "run.yaml", "--set", "training.epochs=1", "--resume", "latest"])
      #expect(resumed.standardOutput.contains("last validation: ") && workspace.exists("run/best"))
    }

    /// The handlers are there before anything slow, so that a signal right after the start is not the end.
    @Test func aSignalRightAfterTheStartIsHeard() throws {
      let workspace = try longValidation()
      let process = try workspace.start(["train", "run.yaml"])
      try wait(for: "the handler", of: process) { catchesSignals(process) }
      process.send(SIGUSR1)
      let outcome = process.wait(deadline: .seconds(30))
      #expect(outcome.status == 75, "\(outcome.standardError)")
      #expect(outcome.standardError.contains("SIGUSR1 received: "))
    }

    @Test func signalsThatWereIgnoredStayIgnored() throws {
      let workspace = try longValidation()
      let command = ChildProcess.path(of: "lockstep")
      let process = try ChildProcess(
        "bash", ["-c", "trap '' HUP INT; exec '\(command)' train run.yaml"], directory: workspace.path)
      try wait(for: "a step", of: process) { process.standardError.contains("step 1/") }
      process.send(SIGHUP)
      process.send(SIGINT)
      process.send(SIGINT)
      let outcome = process.wait(deadline: .seconds(60))
      #expect(outcome.status == 0 && !outcome.standardError.contains("received"), "\(outcome.standardError)")
    }

    @Test func aSecondInterruptEndsAtOnce() throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 30_000)
      // Steps of a second or more.
      try workspace.configure([
        "model.hidden_size": "512", "model.embedding_size": "512", "data.streams": "40", "data.window": "200",
        "training.log_every": "1",
      ])
      let process = try workspace.start(["train", "run.yaml"])
      try wait(for: "a step", of: process) { process.standardError.contains("step 1/") }
      try signal(process, SIGINT, answer: "SIGINT received: stopping after this step, with a checkpoint")
      process.send(SIGINT)
      let outcome = process.wait(deadline: .seconds(30))
      #expect(outcome.status == 128 + SIGINT, "\(outcome.standardError)")
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGHUP])
    func prepareLeavesNothingBehind(number: Int32) throws {
      let workspace = try Workspace()
      let text = Workspace.text(characters: 1_000_000)
      try workspace.write(String(repeating: text, count: 60), to: "text.txt")
      let process = try workspace.start(["prepare", "text.txt", "--output", "new/corpus", "--tokenizer", "word"])
      try wait(for: "the directory", of: process) { workspace.exists("new") }
      try signal(process, number, answer: "received: ending, and leaving nothing behind")
      let outcome = process.wait(deadline: .seconds(30))
      #expect(outcome.status == 128 + number, "\(outcome.standardError)")
      #expect(outcome.errorLines == [])
      #expect(try workspace.names(in: "new") == [])
    }

    @Test func prepareDoesNotWaitForItsInput() throws {
      let workspace = try Workspace()
      let command = ChildProcess.path(of: "lockstep")
      let process = try ChildProcess(
        "bash", ["-c", "exec '\(command)' prepare - --output new/corpus < <(echo text; exec sleep 20)"],
        directory: workspace.path)
      try wait(for: "the directory", of: process) { workspace.exists("new") }
      try signal(process, SIGTERM, answer: "SIGTERM received: ending, and leaving nothing behind")
      #expect(process.wait(deadline: .seconds(10)).status == 128 + SIGTERM)
      #expect(try workspace.names(in: "new") == [])
    }

    private static let endless = [
      ["evaluate", "run", "--corpus", "corpus", "--split", "valid", "--streams", "2"],
      ["generate", "run", "--length", "100000000"],
      ["benchmark", "--size", "S", "--steps", "1000000"],
    ]

    @Test func commandsThatWriteNothingEndByTheSignal() throws {
      let workspace = try longValidation()
      try workspace.succeed(["train", "run.yaml", "--set", "training.epochs=1"])
      for arguments in Self.endless {
        for number in [SIGTERM, SIGINT] {
          let process = try workspace.start(arguments)
          try wait(for: "the handler", of: process) { catchesSignals(process) }
          usleep(100_000)
          try signal(process, number, answer: "received: ending")
          let outcome = process.wait(deadline: .seconds(30))
          #expect(outcome.status == 128 + number, "\(arguments[0]): \(outcome.standardError)")
          #expect(outcome.errorLines == [])
        }
      }
    }

    // MARK: mpirun

    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
    func ranksEndByTheSignalWithOneLine() throws {
      let workspace = try longValidation()
      try workspace.succeed(["train", "run.yaml", "--set", "training.epochs=1"])
      for arguments in [Self.endless[0], Self.endless[2]] {
        let process = try workspace.start(arguments, .ranks(2))
        try wait(for: "the ranks' handlers", of: process) {
          let ranks = ChildProcess.descendants(of: process.processIdentifier, named: "lockstep")
          return ranks.count == 2 && ranks.allSatisfy(catchesSignals)
        }
        usleep(100_000)
        process.send(SIGUSR1)
        let outcome = process.wait(deadline: .seconds(30))
        #expect(outcome.status != 0 && !outcome.timedOut)
        #expect(outcome.standardError.matches(of: /SIGUSR1 received: ending/).count == 1, "\(outcome.standardError)")
      }
    }

    /// mpirun kills the ranks twice its time-out after SIGTERM or SIGINT; what it sends first is heard as a notice.
    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"), arguments: [SIGTERM, SIGINT])
    func ranksHearThatMpirunIsEndingTheJob(number: Int32) throws {
      let workspace = try longValidation()
      let process = try workspace.start(
        ["train", "run.yaml"], .ranks(2), options: ["--mca", "odls_base_sigkill_timeout", "3"])
      try wait(for: "a step", of: process) { process.standardError.contains("step 1/") }
      process.send(number)
      let outcome = process.wait(deadline: .seconds(30))
      #expect(outcome.status == 1, "\(outcome.standardError)")
      #expect(outcome.standardError.components(separatedBy: "mpirun is about to end the job: ").count == 2)
      let resumed = try workspace.succeed(["train", "run.yaml", "--resume", "latest"])
      let whole = try workspace.succeed(["train", "run.yaml", "--set", "run.directory=whole"])
      #expect(resumed.weightDigest != nil && resumed.weightDigest == whole.weightDigest)
    }

    /// A job that a batch system suspends and continues gets the same signal, and is left alone.
    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
    func aSuspendedJobContinues() throws {
      let workspace = try longValidation()
      let process = try workspace.start(["train", "run.yaml"], .ranks(2))
      try wait(for: "a step", of: process) { process.standardError.contains("step 1/") }
      let ranks = ChildProcess.descendants(of: process.processIdentifier)
      for rank in ranks { kill(rank, SIGSTOP) }
      usleep(4_500_000)
      for process in [process.processIdentifier] + ranks { kill(process, SIGCONT) }
      let outcome = process.wait(deadline: .seconds(60))
      #expect(outcome.status == 0 && !outcome.standardError.contains("mpirun is about to"), "\(outcome.standardError)")
    }
  }
}
