import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// How the words of the command line reach the program, and how progress reaches a terminal.
  @Suite struct CommandLineTests {
    private static let canHideProc =
      (try? ChildProcess.run("unshare", ["-m", "mount", "-t", "tmpfs", "none", "/proc"], deadline: .seconds(10)))?
      .status == 0

    @Test(.enabled(if: canHideProc, "hiding /proc needs the rights of root"))
    func aContainerWithoutProcWillDo() throws {
      let workspace = try Workspace()
      try workspace.prepare()
      try workspace.configure()
      let digest = try workspace.succeed(["train", "run.yaml", "--set", "run.directory=whole"]).weightDigest
      for workers in ["", " --workers 2"] {
        let outcome = try ChildProcess.run(
          "unshare",
          [
            "-m", "bash", "-c",
            "mount -t tmpfs none /proc && exec '\(ChildProcess.path(of: "lockstep"))' train run.yaml"
              + " --set 'run.directory=run\(workers)'" + workers,
          ], directory: workspace.path, deadline: .seconds(60))
        #expect(outcome.status == 0 && outcome.weightDigest == digest, "\(outcome.standardError)")
      }
    }

    @Test func wordsThatAreNotUTF8AreRefused() throws {
      let workspace = try Workspace()
      try workspace.write(Workspace.text(characters: 1000), to: "text.txt")
      let outcome = try workspace.shell("lockstep prepare text.txt --output $'out\\xe9'")
      #expect(outcome.status == 64)
      #expect(outcome.errorLines.first?.hasPrefix("error: argument 4: is not UTF-8: ") == true)
      #expect(try workspace.names(in: ".") == ["text.txt"])
      #expect(try workspace.shell("lockstep generate run --prompt $'\\xff'").errorLines.count == 1)
    }

    @Test func aPromptMayBeginWithDashes() throws {
      let workspace = try Workspace()
      try workspace.write(Workspace.text(characters: 3000) + "- --\n", to: "text.txt")
      try workspace.succeed(["prepare", "text.txt", "--output", "corpus"])
      try workspace.configure(["training.steps": "2"])
      try workspace.succeed(["train", "run.yaml"])
      for prompt in ["- the river", "--", "--seed", "-a"] {
        let outcome = try workspace.succeed(["generate", "run", "--prompt", prompt, "--length", "3"])
        #expect(outcome.standardOutput.hasPrefix(prompt))
      }
    }

    @Test func aTildeIsTheHomeDirectoryInEveryPath() throws {
      let workspace = try Workspace()
      try workspace.write(Workspace.text(characters: 3000), to: "text.txt")
      try workspace.configure(["training.steps": "2", "run.directory": "~/runs/a"])
      let home = "export HOME=\"$PWD/home\"; "
      for line in [
        "lockstep prepare '~/../text.txt' --output='~/corpus'",
        "lockstep train run.yaml --set data.corpus=~/corpus",
        "lockstep evaluate '~/runs/a' --corpus='~/corpus' --json",
        "lockstep inspect '~/runs/a/latest'",
      ] {
        let outcome = try workspace.shell(home + "mkdir -p home; " + line)
        #expect(outcome.status == 0, "\(line): \(outcome.standardError)")
      }
      #expect(try workspace.names(in: "home") == ["corpus", "runs"])
      #expect(!workspace.exists("~"))
    }

    // MARK: Terminals

    /// What a training run writes on a terminal of 40 columns.
    private func onTerminal(_ type: String, _ workspace: Workspace) throws -> String {
      let (controller, terminal) = try PseudoTerminal.make(columns: 40)
      defer { close(controller) }
      let process = try ChildProcess(
        "bash",
        [
          "-c", "exec '\(ChildProcess.path(of: "lockstep"))' train run.yaml --set run.directory=\(type) 2>\(terminal)",
        ], environment: ChildProcess.inheritedEnvironment.merging(["TERM": type]) { $1 }, directory: workspace.path)
      var text: [UInt8] = []
      var block = [UInt8](repeating: 0, count: 4096)
      while true {
        // The other side closes when the command ends.
        let count = read(controller, &block, block.count)
        guard count > 0 else { break }
        text += block[..<count]
      }
      #expect(process.wait(deadline: .seconds(60)).status == 0)
      return String(decoding: text, as: UTF8.self)
    }

    @Test func progressFitsTheTerminal() throws {
      let workspace = try Workspace()
      try workspace.prepare()
      try workspace.configure(["training.steps": "300", "training.log_every": "100"])
      let moving = try onTerminal("xterm", workspace)
      let progress = moving.components(separatedBy: "\r\u{1B}[K").filter { $0.hasPrefix("step ") }
      #expect(progress.contains { $0.hasSuffix("…") })
      for line in progress.map({ $0.prefix { $0 != "\r\n" && $0 != "\n" } })
      where line.contains("tokens/s") || line.hasSuffix("…") {
        #expect(line.count < 40, "\(line)")
      }
      let plain = try onTerminal("dumb", workspace)
      #expect(!plain.contains("\u{1B}") && plain.contains("step 300/300"))
    }
  }
}

/// A pseudo-terminal.
enum PseudoTerminal {
  /// The descriptor of its controlling side, and the path of the other one.
  static func make(columns: Int = 80) throws -> (controller: Int32, path: String) {
    // TIOCGPTN, TIOCSPTLCK, TIOCSWINSZ
    let (getNumber, setLock, setSize) = (UInt(0x8004_5430), UInt(0x4004_5431), UInt(0x5414))
    let controller = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
    var (number, unlocked) = (CInt(0), CInt(0))
    var size = winsize(ws_row: 24, ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
    try #require(
      ioctl(controller, getNumber, &number) == 0 && ioctl(controller, setLock, &unlocked) == 0
        && ioctl(controller, setSize, &size) == 0)
    return (controller, "/dev/pts/\(number)")
  }
}
