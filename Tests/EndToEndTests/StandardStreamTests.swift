import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// Full disks, closed descriptors and readers that have gone, on both output streams.
  @Suite struct StandardStreamTests {
    /// A corpus and a run that is over.
    private static func trained() throws -> (workspace: Workspace, digest: String) {
      let workspace = try Workspace()
      try workspace.prepare()
      try workspace.configure(["training.checkpoint_every": "3", "training.log_every": "1"])
      let outcome = try workspace.succeed(["train", "run.yaml"])
      return (workspace, try #require(outcome.weightDigest))
    }

    private static let results = [
      "--help", "--version", "train --help", "help prepare", "config", "inspect run", "inspect run --json",
      "inspect corpus", "evaluate run --corpus corpus", "evaluate run --corpus corpus --json",
      "evaluate run --corpus corpus --streams 2 --workers 2", "generate run --length 5",
      "benchmark --hidden 8 --layers 1 --vocabulary 20 --window 4 --streams 4 --steps 2",
      "benchmark --hidden 8 --layers 1 --vocabulary 20 --window 4 --streams 4 --steps 2 --json",
    ]

    @Test func aResultThatCannotBeWrittenIsAnError() throws {
      let (workspace, _) = try Self.trained()
      for command in Self.results {
        for (lost, reason) in [
          (">/dev/full", "No space left on device"), (">&-", "is closed"), ("1</dev/null", "Bad file descriptor"),
        ] {
          let outcome = try workspace.shell("lockstep \(command) \(lost)")
          #expect(outcome.status == 73, "\(command) \(lost): \(outcome.standardError)")
          #expect(outcome.errorLines.count == 1, "\(command) \(lost): \(outcome.standardError)")
          #expect(outcome.errorLines.first?.hasPrefix("error: standard output: ") == true)
          #expect(outcome.errorLines.first?.contains(reason) == true, "\(outcome.standardError)")
        }
      }
    }

    /// The limit of a batch system, or of the shell: the write says so, and not SIGXFSZ.
    @Test func aLimitOnTheSizeOfFilesIsAnError() throws {
      let (workspace, _) = try Self.trained()
      let output = try workspace.shell("(ulimit -f 1; lockstep config >reference.md)")
      #expect(output.status == 73 && output.errorLines.count == 1, "\(output.standardError)")
      #expect(output.errorLines.first?.contains("File too large") == true)
      let run = try workspace.shell("(ulimit -f 20; lockstep train run.yaml --set run.directory=limited)")
      #expect(run.status == 73 && run.errorLines.count == 1, "\(run.standardError)")
    }

    @Test func aReaderThatHasGoneEndsTheCommandQuietly() throws {
      let (workspace, _) = try Self.trained()
      for command in Self.results {
        let outcome = try workspace.shell("{ sleep 0.1; lockstep \(command); } | :; exit ${PIPESTATUS[0]}")
        #expect(outcome.status == 141, "\(command): \(outcome.standardError)")
        #expect(outcome.standardError == "", "\(command)")
      }
    }

    @Test func losingStandardErrorFailsNothing() throws {
      let (workspace, digest) = try Self.trained()
      for (index, lost) in ["2>/dev/full", "2>&-", "2> >(exec true)", "<&- 2>&-"].enumerated() {
        let prepared = try workspace.shell("lockstep prepare text.txt --output corpus-\(index) \(lost)")
        #expect(prepared.status == 0, "prepare \(lost)")
        let directory = "run-\(index)"
        let trained = try workspace.shell(
          "lockstep train run.yaml --set run.directory=\(directory) --set data.corpus=corpus-\(index) \(lost)")
        #expect(trained.status == 0 && trained.weightDigest == digest, "train \(lost)")
        let evaluated = try workspace.shell("lockstep evaluate \(directory) --corpus corpus-\(index) --json \(lost)")
        #expect(evaluated.status == 0, "evaluate \(lost)")
        #expect(try evaluated.jsonObject()["tokens"] != nil)
        // Nothing that was meant for the lost stream may have found its way into a file that got its number.
        for line in try workspace.read("\(directory)/metrics.jsonl").split(separator: "\n") {
          #expect(try JSONSerialization.jsonObject(with: Data(line.utf8)) is [String: Any], "\(lost): \(line)")
        }
        try workspace.succeed(["inspect", directory])
      }
    }

    /// A mistake is a mistake, whether anyone reads of it or not.
    @Test func anErrorKeepsItsStatusWithoutStandardError() throws {
      let workspace = try Workspace()
      for lost in ["2>/dev/full", "2>&-"] {
        #expect(try workspace.shell("lockstep inspect nowhere \(lost)").status == 65)
        #expect(try workspace.shell("lockstep train --bogus \(lost)").status == 64)
      }
    }

    @Test func trainAndPrepareDoNotNeedStandardOutput() throws {
      let (workspace, digest) = try Self.trained()
      let reference = try workspace.bytes("run/latest")
      for (index, lost) in [">/dev/full", ">&-", "<&- >&- 2>&-", "| :; exit ${PIPESTATUS[0]}"].enumerated() {
        #expect(try workspace.shell("lockstep prepare text.txt --output corpus-\(index) \(lost)").status == 0)
        let directory = "run-\(index)"
        let outcome = try workspace.shell("lockstep train run.yaml --set run.directory=\(directory) \(lost)")
        #expect(outcome.status == 0, "\(lost): \(outcome.standardError)")
        #expect(try workspace.bytes("\(directory)/latest").count == reference.count)
        let resumed = try workspace.succeed(
          ["train", "run.yaml", "--set", "run.directory=\(directory)", "--resume", "latest"])
        #expect(resumed.weightDigest == digest, "\(lost)")
      }
      let full = try workspace.shell("lockstep train run.yaml --resume latest >/dev/full")
      #expect(full.standardError.contains("warning: standard output: can't be written"))
    }

    /// The terminal of an abandoned session: writes fail from then on, and the run goes its way.
    @Test func aTerminalThatVanishesDoesNotEndTheRun() throws {
      let (workspace, digest) = try Self.trained()
      let (controller, terminal) = try PseudoTerminal.make()
      let started = try ChildProcess(
        "bash",
        [
          "-c",
          "trap '' HUP; exec '\(ChildProcess.path(of: "lockstep"))' train run.yaml --set run.directory=lost "
            + "2>\(terminal) 0<\(terminal)",
        ], environment: ChildProcess.inheritedEnvironment.merging(["TERM": "xterm"]) { $1 }, directory: workspace.path)
      var byte: UInt8 = 0
      #expect(read(controller, &byte, 1) == 1)  // It has begun to write.
      close(controller)
      let outcome = started.wait(deadline: .seconds(60))
      #expect(outcome.status == 0 && outcome.weightDigest == digest)
    }

    /// Whoever shares a pipe may have made it non-blocking.
    @Test(.enabled(if: Python.has(["fcntl"]), "there is no Python to make such a pipe"))
    func aPipeThatDoesNotBlockGetsEverything() throws {
      let (workspace, _) = try Self.trained()
      let whole = try workspace.succeed(["config"]).standardOutput
      try workspace.write(
        """
        import fcntl, os, subprocess, sys, time
        reading, writing = os.pipe()
        fcntl.fcntl(writing, 1031, 4096)
        os.set_blocking(writing, False)
        process = subprocess.Popen([sys.argv[1], "config"], stdout=writing)
        os.close(writing)
        time.sleep(0.3)
        data = b""
        while block := os.read(reading, 1000): data += block
        sys.stdout.buffer.write(data)
        sys.exit(process.wait())
        """, to: "reader.py")
      let outcome = try ChildProcess.run(
        Python.interpreter, ["reader.py", ChildProcess.path(of: "lockstep")], directory: workspace.path,
        deadline: .seconds(30))
      #expect(outcome.status == 0 && outcome.standardOutput == whole, "\(outcome.standardError)")
    }
  }
}
