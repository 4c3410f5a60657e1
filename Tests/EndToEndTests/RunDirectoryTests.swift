import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// One run, one directory.
  @Suite struct RunDirectoryTests {
    private let workspace: Workspace

    init() throws {
      workspace = try Workspace()
      try workspace.prepare(characters: 1500)
      try workspace.configure([
        "training.steps": "60", "training.checkpoint_every": "10", "training.validate_every": "10", "run.keep": "20",
      ])
    }

    private static let train = ["train", "run.yaml"]
    /// A run that makes no checkpoint before a test is over: one epoch of many small steps.
    private static let endless = [
      "data.corpus=long", "data.streams=1", "data.window=1", "training.gradient_shards=1", "training.steps=100000000",
      "training.checkpoint_every=0", "training.validate_every=0", "training.log_every=1000000",
    ].flatMap { ["--set", $0] }

    private func prepareLongText() throws {
      try workspace.prepare("long", characters: 3_000_000)
    }

    private func train(_ arguments: String...) throws -> ChildProcess.Outcome {
      try workspace.succeed(Self.train + arguments)
    }

    private func rows(_ run: String = "run") throws -> [[String: Any]] {
      try workspace.read("\(run)/metrics.jsonl").split(separator: "\n").map {
        try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
      }
    }

    private func inspection(_ name: String) throws -> [String: Any] {
      try workspace.succeed(["inspect", name, "--json"]).jsonObject()
    }

    private func step(_ name: String) throws -> Int? { try inspection(name)["step"] as? Int }

    private func name(_ step: Int) -> String {
      "run/checkpoints/step-\(String(repeating: "0", count: 10 - "\(step)".count))\(step).h5"
    }

    /// Whether there is a directory, or a file that is not empty.
    private func isThere(_ name: String) -> Bool {
      var status = stat()
      return stat(workspace.file(name), &status) == 0 && status.st_size > 0
    }

    private func wait(for name: String, of process: ChildProcess) throws {
      let deadline = ContinuousClock.now + .seconds(30)
      while !isThere(name) {
        try #require(ContinuousClock.now < deadline, "\(name) did not come: \(process.standardError)")
        usleep(2000)
      }
    }

    @Test func identityIsCarriedByAllFiles() throws {
      _ = try train()
      let id = try #require(try inspection("run")["run"] as? String)
      #expect(id.count == 16)
      #expect(try workspace.read("run/config.yaml").hasPrefix("# run \(id)\n"))
      #expect(try rows().first?["run"] as? String == id)
      #expect(try inspection(name(10))["run"] as? String == id)
      #expect(!workspace.exists("run/lock"))
      // Resumed, it is the same run; and says so where it began again.
      _ = try train("--resume", "latest", "--set", "training.steps=70")
      #expect(try inspection("run")["run"] as? String == id)
      #expect(try rows().compactMap { $0["run"] as? String } == [id, id])
      #expect(try rows().filter { $0["loss"] != nil }.map { $0["step"] as? Int } == (1...70).map { $0 })
      // A directory of its own makes a fork.
      let fork = try train("--resume", name(20), "--set", "run.directory=fork", "--set", "training.steps=30")
      #expect(fork.standardError.contains("a fork of"))
      let report = try inspection("fork")
      #expect(report["parent_run"] as? String == id && report["parent_step"] as? Int == 20)
      #expect(report["run"] as? String != id)
      #expect(try workspace.read("fork/config.yaml").contains("forked from \(id) at step 20"))
      // Each checkpoint states its own validation; the last of this one is the fork's own.
      let validation = try #require(try rows("fork").last?["valid_nats_per_token"] as? Double)
      #expect(report["valid_nats_per_token"] as? Double == validation)
    }

    @Test func anotherRunsDirectoryIsRefused() throws {
      _ = try train("--set", "run.directory=A", "--set", "training.steps=30")
      _ = try train("--set", "training.steps=60")
      let before = try (
        workspace.read("run/metrics.jsonl"), workspace.read("run/config.yaml"), workspace.names(in: "run")
      )
      let message = try workspace.fail(73, Self.train + ["--resume", "A/latest"], .threads(2))
      #expect(
        message.contains("run: the directory belongs to a different run") && message.contains("run.directory=DIR"))
      #expect(try workspace.fail(73, Self.train).contains("there is a run in this directory already"))
      // The same run's, but not of this directory: history has one line.
      try workspace.copy(name(20), to: "kept.h5")
      try FileManager.default.removeItem(atPath: workspace.file(name(20)))
      #expect(try workspace.fail(73, Self.train + ["--resume", "kept.h5"]).contains("is not in this run's directory"))
      let after = try (
        workspace.read("run/metrics.jsonl"), workspace.read("run/config.yaml"), workspace.names(in: "run")
      )
      #expect(before == after)
    }

    @Test func aRunningRunIsNotDisturbed() throws {
      try prepareLongText()
      let first = try workspace.start(Self.train + Self.endless)
      try wait(for: "run/metrics.jsonl", of: first)
      // Ten seconds for a run that may be about to end, then a word and no trace.
      let refused = try workspace.run(Self.train + Self.endless + ["--resume", "auto"], .threads(1))
      #expect(refused.status == 73 && refused.wallTime > .seconds(9), "\(refused.standardError)")
      #expect(refused.errorLines.count == 1 && refused.standardError.contains("waiting up to 10 s"))
      #expect(refused.errorLines.first?.contains("process \(first.processIdentifier) on ") == true)
      #expect(refused.errorLines.first?.contains("--break-lock") == true)
      // One that waits can be told not to.
      let waiting = try workspace.start(Self.train + Self.endless + ["--resume", "auto"])
      for _ in 0..<500 where !waiting.standardError.contains("waiting up to") { usleep(10_000) }
      let sent = ContinuousClock.now
      waiting.send(SIGTERM)
      #expect(waiting.wait(deadline: .seconds(20)).status == 75 && ContinuousClock.now - sent < .seconds(2))
      // Readers take no lock; and a lock that is broken is noticed.
      #expect(try workspace.fail(65, ["generate", "run"]).contains("no checkpoint"))
      let second = try workspace.start(Self.train + Self.endless + ["--break-lock"])
      let outcome = first.wait(deadline: .seconds(60))
      #expect(outcome.status == 73 && outcome.errorLines.first?.contains("has taken over this directory") == true)
      try wait(for: "run/abandoned", of: second)
      try wait(for: "run/metrics.jsonl", of: second)
      second.send(SIGTERM)
      #expect(second.wait(deadline: .seconds(60)).status == 75)
      let steps = try rows().map { $0["step"] as? Int ?? 0 }
      #expect(steps == steps.sorted() && steps.first == 1)
      #expect(!workspace.exists("run/lock"))
    }

    private static let canUnshare =
      (try? ChildProcess.run("unshare", ["--pid", "--fork", "--mount-proc", "true"], deadline: .seconds(10)))?.status
      == 0

    /// In two containers of one machine both may be process 1: a number alone names nobody.
    @Test(.enabled(if: canUnshare, "unshare needs root"))
    func theSameProcessNumberInTwoContainersIsNoConfusion() throws {
      try prepareLongText()
      func start() throws -> ChildProcess {
        try ChildProcess(
          "unshare",
          ["--pid", "--fork", "--mount-proc", ChildProcess.path(of: "lockstep")] + Self.train + Self.endless,
          directory: workspace.path)
      }
      let first = try start()
      try wait(for: "run/metrics.jsonl", of: first)
      let second = try start().wait(deadline: .seconds(60))
      #expect(second.status == 73 && second.standardError.contains("process 1 on "), "\(second.standardError)")
      for process in ChildProcess.descendants(of: first.processIdentifier) { kill(process, SIGTERM) }
      let outcome = first.wait(deadline: .seconds(60))
      #expect(outcome.status == 75, "\(outcome.standardError)")
    }

    /// Killed before its first checkpoint, a run holds nothing: the same configuration may start there again.
    @Test func aRunWithoutACheckpointIsTakenOver() throws {
      try prepareLongText()
      let first = try workspace.start(Self.train + Self.endless)
      try wait(for: "run/metrics.jsonl", of: first)
      first.send(SIGKILL)
      _ = first.wait(deadline: .seconds(30))
      #expect(workspace.exists("run/lock"))
      let old = try workspace.read("run/metrics.jsonl")
      let other = try workspace.fail(
        73, Self.train + Self.endless + ["--set", "optimizer.learning_rate=0.5", "--resume", "auto"])
      #expect(other.contains("another run's files") && other.contains("optimizer.learning_rate (0.01 there, 0.5 now)"))
      #expect(try workspace.read("run/metrics.jsonl") == old)
      let again = try workspace.start(Self.train + Self.endless + ["--resume", "auto"])
      try wait(for: "run/abandoned", of: again)
      try wait(for: "run/metrics.jsonl", of: again)
      again.send(SIGTERM)
      #expect(again.wait(deadline: .seconds(30)).status == 75)
      let aside = try workspace.names(in: "run/abandoned")
      #expect(aside.count == 1)
      #expect(try workspace.read("run/abandoned/\(aside[0])") == old)
      #expect(again.standardError.contains("run/abandoned/\(aside[0])"))
    }

    @Test func autoIsTheLatestOrAFreshStart() throws {
      let short = ["--resume", "auto", "--set", "training.steps="]
      for (steps, workers) in [(10, Workspace.Workers.threads(2)), (20, .alone), (30, .threads(3))] {
        let outcome = try workspace.succeed(Self.train + short.dropLast() + ["training.steps=\(steps)"], workers)
        #expect(outcome.standardError.contains("resuming from") == (steps > 10))
      }
      let whole = try train("--set", "run.directory=whole", "--set", "training.steps=30")
      #expect(try workspace.saved().tensors == workspace.saved("whole").tensors)
      // At its end there is nothing to do, and that is said.
      let again = try train("--resume", "auto", "--set", "training.steps=30")
      #expect(again.standardError.contains("nothing is left to train: the run has its 30 steps"))
      #expect(!whole.standardError.contains("nothing is left"))
      // What can't be read is no reason to begin anew.
      try Data("lockstep checkpoint\n".utf8).write(to: URL(fileURLWithPath: workspace.file(name(30))))
      #expect(try workspace.fail(65, Self.train + ["--resume", "auto"]).contains("truncated"))
    }

    @Test func anEarlierStepBecomesTheLatest() throws {
      _ = try train()
      let old = try (rows(), workspace.bytes(name(50)), workspace.names(in: "run/checkpoints"))
      let rate = ["--set", "optimizer.learning_rate=0.00001", "--set", "training.steps=1000000"]
      let second = try workspace.start(Self.train + rate + ["--resume", name(20)])
      try wait(for: "run/abandoned/after-0000000020/step-0000000030.h5", of: second)
      try wait(for: name(30), of: second)
      second.send(SIGKILL)
      _ = second.wait(deadline: .seconds(30))
      #expect(second.standardError.contains("what the run had written after step 20 is in run/abandoned/after-"))
      // What was left is whole, with its metrics; what continues is the new line.
      let line = "run/abandoned/after-0000000020"
      let later = old.2.filter { "run/checkpoints/\($0)" > name(20) }
      #expect(later.count >= 4)
      #expect(try workspace.names(in: line) == ["metrics.jsonl"] + later)
      #expect(try workspace.bytes("\(line)/step-0000000050.h5") == old.1)
      let abandoned = try workspace.read("\(line)/metrics.jsonl").split(separator: "\n").count
      #expect(abandoned == old.0.count { $0["step"] as? Int ?? 0 > 20 })
      // A checkpoint that was in place when the run was killed counts, wherever the link led.
      let files = try workspace.names(in: "run/checkpoints").filter { $0.hasSuffix(".h5") }
      let latest = try #require(try step("run/checkpoints/\(files[files.count - 1])"))
      let last = try workspace.succeed(
        Self.train + [
          "--resume", "latest", "--set", "optimizer.learning_rate=0.00001", "--set", "training.steps=\(latest + 5)",
        ])
      #expect(last.standardError.contains("resuming from run/checkpoints/step-"))
      #expect(try step("run") == latest + 5)
      let training = try rows().filter { $0["loss"] != nil }
      #expect(training.map { $0["step"] as? Int } == (1...latest + 5).map { $0 })
      #expect(training.allSatisfy { ($0["step"] as? Int ?? 0 <= 20) == ($0["learning_rate"] as? Double == 0.01) })
      // The link, the journal's words and the files agree on what is best.
      let losses = try rows().compactMap { row in
        (row["valid_nats_per_token"] as? Double).map { (row["step"] as? Int ?? 0, $0) }
      }
      let best = try #require(losses.min { ($0.1, $0.0) < ($1.1, $1.0) })
      #expect(try step("run/best") == best.0)
      #expect(try inspection("run/best")["valid_nats_per_token"] as? Double == best.1)
    }

    @Test func aCopiedDirectoryIsAskedFor() throws {
      _ = try train("--set", "training.steps=20")
      try workspace.copy("run", to: "copy")
      let before = try workspace.read("run/metrics.jsonl")
      let message = try workspace.fail(64, ["train", "copy/config.yaml", "--resume", "latest"], .threads(2))
      #expect(message.contains("--set run.directory=copy"), "\(message)")
      let arguments = ["train", "copy/config.yaml", "--resume", "latest", "--set", "training.steps=30", "--set"]
      try workspace.succeed(arguments + ["run.directory=copy"])
      #expect(try step("copy") == 30 && step("run") == 20)
      #expect(try workspace.read("run/metrics.jsonl") == before)
      // In its own place, and by another way to write it.
      try workspace.succeed(["train", "./run//config.yaml", "--resume", "latest", "--set", "training.steps=21"])
    }

    @Test func lostMetricsAreMadeAgain() throws {
      _ = try train("--set", "training.log_every=5", "--set", "training.steps=30")
      try FileManager.default.removeItem(atPath: workspace.file("run/metrics.jsonl"))
      let outcome = try train("--resume", "latest", "--set", "training.steps=32")
      #expect(outcome.standardError.contains("metrics.jsonl is gone"))
      let steps = try rows().filter { $0["loss"] != nil }.compactMap { $0["step"] as? Int }
      #expect(steps.suffix(4) == [25, 30, 31, 32] && steps == steps.sorted())
      #expect(try rows().compactMap { $0["valid_nats_per_token"] as? Double }.count >= 4)
      // Cut short, they are kept as they are.
      let text = try workspace.read("run/metrics.jsonl")
      try workspace.write(String(text.prefix(text.count / 2)), to: "run/metrics.jsonl")
      let again = try train("--resume", "latest", "--set", "training.steps=33")
      #expect(again.standardError.contains("rows of metrics.jsonl are missing"))
      #expect(try rows().last { $0["loss"] != nil }?["step"] as? Int == 33)
    }

    @Test func aDirectoryThatIsGoneIsSaid() throws {
      let process = try workspace.start(
        Self.train + ["--set", "training.steps=1000000", "--set", "training.checkpoint_every=200"])
      try wait(for: "run/metrics.jsonl", of: process)
      try FileManager.default.moveItem(atPath: workspace.file("run"), toPath: workspace.file("moved"))
      let outcome = process.wait(deadline: .seconds(60))
      #expect(outcome.status == 73 && outcome.errorLines.count == 1, "\(outcome.standardError)")
      #expect(outcome.errorLines.first?.contains("gone") == true, "\(outcome.standardError)")
      #expect(outcome.errorLines.first?.contains("untouched") == false)
    }

    @Test func readersKeepUpWithARunThatKeepsOne() throws {
      let process = try workspace.start(
        Self.train + [
          "--set", "training.steps=1000000", "--set", "training.checkpoint_every=1", "--set", "run.keep=1",
        ])
      try wait(for: "run/latest", of: process)
      for _ in 0..<12 {
        try workspace.succeed(["generate", "run", "--length", "3"])
        try workspace.succeed(["evaluate", "run/latest", "--corpus", "corpus", "--json"])
        try workspace.succeed(["inspect", "run", "--json"])
      }
      process.send(SIGTERM)
      #expect(process.wait(deadline: .seconds(30)).status == 75)
    }
  }
}
