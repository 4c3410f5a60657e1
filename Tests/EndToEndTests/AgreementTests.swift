import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// Ranks that were started with something different: all are told so in one message, in seconds, before anything is
  /// trained.
  @Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
  struct AgreementTests {
    private static let host = ProcessInfo.processInfo.hostName

    /// Runs two ranks, in the directories `a` and `b` of the workspace.
    private func run(
      _ workspace: Workspace, _ first: [String], _ second: [String], environment: [String: String] = [:]
    ) throws -> ChildProcess.Outcome {
      let outcome = try MPIRun.start(
        [
          .init(first, directory: workspace.file("a")),
          .init(second, environment: environment, directory: workspace.file("b")),
        ], "lockstep", environment: Workspace.environment
      ).wait(deadline: .seconds(40))
      #expect(!outcome.timedOut, "\(first), \(second) hung: \(outcome.standardError)")
      #expect(outcome.wallTime < .seconds(20))
      return outcome
    }

    private func expectRefusal(
      _ outcome: ChildProcess.Outcome, _ status: Int32, _ parts: String...,
      sourceLocation: SourceLocation = #_sourceLocation
    ) {
      #expect(outcome.status == status, "\(outcome.standardError)", sourceLocation: sourceLocation)
      #expect(outcome.errorLines.count == 1, "\(outcome.standardError)", sourceLocation: sourceLocation)
      for part in parts {
        #expect(
          outcome.errorLines.first?.contains(part) == true, "'\(part)' is not in: \(outcome.standardError)",
          sourceLocation: sourceLocation)
      }
    }

    /// Two directories, each with a corpus of the same name and content, and a configuration.
    private func makeWorkspace(_ changes: [String: String?] = [:]) throws -> Workspace {
      let workspace = try Workspace()
      try FileManager.default.createDirectory(atPath: workspace.file("a"), withIntermediateDirectories: false)
      try workspace.prepare("a/corpus", characters: 3000)
      try workspace.configure(changes, as: "a/run.yaml")
      try workspace.copy("a", to: "b")
      return workspace
    }

    @Test func otherSettingsOfOneRankAreRefused() throws {
      let workspace = try makeWorkspace()
      let train = ["train", "run.yaml"]
      for (override, first) in [
        ("data.window=8", "9"), ("training.seed=7", "1"), ("training.steps=14", "12"),
        ("training.exchange=allreduce", "tree"), ("model.hidden_size=16", "12"),
      ] {
        let (key, value) = (override.prefix { $0 != "=" }, override.split(separator: "=")[1])
        let outcome = try run(workspace, train, train + ["--set", override])
        expectRefusal(
          outcome, 64, "rank 1 on \(Self.host): \(key) is \(value), rank 0 on \(Self.host) has \(first)", "; give all")
      }
      let several = try run(
        workspace, train, train + ["--set", "optimizer.learning_rate=0.5", "--set", "data.corpus=elsewhere"])
      expectRefusal(several, 64, "optimizer.learning_rate is 0.5, rank 0 on \(Self.host) has 0.01")
      let memory = try run(workspace, train, train + ["--no-shared-memory"])
      expectRefusal(memory, 64, "rank 1", "--no-shared-memory is true")
      #expect(!workspace.exists("a/run") && !workspace.exists("b/run"))
    }

    /// The same program under the name of another build: the linker's build id, or where it makes none a byte at the end.
    @Test func anotherBuildOfOneRankIsRefused() throws {
      let workspace = try makeWorkspace()
      let other = workspace.file("lockstep")
      var program = try Data(contentsOf: URL(fileURLWithPath: ChildProcess.path(of: "lockstep")))
      if let note = program.firstRange(of: Data([4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0] + Array("GNU\0".utf8))) {
        program[note.upperBound] ^= 1
      } else {
        program.append(0)
      }
      try program.write(to: URL(fileURLWithPath: other))
      try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: other)
      for command in [["train", "run.yaml"], ["benchmark", "--hidden", "8", "--vocabulary", "9", "--steps", "1"]] {
        let outcome = try MPIRun.start(
          [
            .init(command, directory: workspace.file("a")),
            .init(command, directory: workspace.file("b"), executable: other),
          ], "lockstep", environment: Workspace.environment
        ).wait(deadline: .seconds(40))
        expectRefusal(outcome, 64, "rank 1 on \(Self.host): the build of lockstep is ", "rank 0")
      }
      #expect(!workspace.exists("a/run") && !workspace.exists("b/run"))
    }

    @Test func anotherCorpusOfOneRankIsRefused() throws {
      let workspace = try makeWorkspace()
      let train = ["train", "run.yaml"]
      // The same bytes in another order: vocabulary and length are those of the first.
      let text = try workspace.read("text.txt").split(separator: "\n", omittingEmptySubsequences: false)
      try workspace.write((text.dropLast().reversed() + [""]).joined(separator: "\n"), to: "other.txt")
      for (arguments, name) in [(["other.txt"], "other"), (["text.txt", "other.txt"], "longer")] {
        try workspace.succeed(["prepare"] + arguments + ["--output", "b/\(name)"])
        let outcome = try run(workspace, train, train + ["--set", "data.corpus=\(name)"])
        expectRefusal(
          outcome, 65, "rank 1 on \(Self.host): the corpus's content is ", "; give all ranks the same corpus")
      }
      // In other shards, under another name and of another day, it is the same corpus.
      try workspace.succeed(["prepare", "text.txt", "--output", "b/moved", "--shards", "3"])
      let outcome = try run(workspace, train, train + ["--set", "data.corpus=moved"])
      #expect(outcome.status == 0, "\(outcome.standardError)")
    }

    @Test func aMissingFileOfOneRankIsNamedWithItsHost() throws {
      let workspace = try makeWorkspace()
      try FileManager.default.removeItem(atPath: workspace.file("b/corpus/train-00000.h5"))
      let outcome = try run(workspace, ["train", "run.yaml"], ["train", "run.yaml"])
      expectRefusal(outcome, 65, "error: rank 1 on \(Self.host): corpus/train-00000.h5: the shard is missing")
      let other = try run(workspace, ["train", "run.yaml"], ["train", "nothing.yaml"])
      expectRefusal(other, 64, "error: rank 1 on \(Self.host): nothing.yaml: ")
    }

    @Test func checkpointsOfOtherStepsAreRefused() throws {
      let workspace = try makeWorkspace(["training.checkpoint_every": "4", "run.keep": "9"])
      for directory in ["a", "b"] {
        // An absolute path, so that each directory has a run.
        let arguments = ["train", workspace.file("\(directory)/run.yaml")]
        let paths = [
          "data.corpus=\(workspace.file("a/corpus"))", "run.directory=\(workspace.file("\(directory)/run"))",
        ]
        try workspace.succeed(arguments + paths.flatMap { ["--set", $0] })
      }
      // The second host sees a directory that is behind.
      for name in ["latest", "best"] { try FileManager.default.removeItem(atPath: workspace.file("b/run/\(name)")) }
      let last = "run/checkpoints/step-0000000012.h5"
      try FileManager.default.removeItem(atPath: workspace.file("b/\(last)"))
      let longer = ["train", "run.yaml", "--set", "training.steps=16", "--resume", "latest"]
      expectRefusal(try run(workspace, longer, longer), 65, "error: rank 1 on \(Self.host): \(last): can't be opened")
      // Another file under the name that the first rank has found.
      try workspace.copy("b/run/checkpoints/step-0000000008.h5", to: "b/\(last)")
      expectRefusal(try run(workspace, longer, longer), 65, "rank 1 on \(Self.host): \(last): differs from")
      let pretrained =
        ["train", "run.yaml"] + ["model.initial_parameters=\(last)", "run.directory=new"].flatMap { ["--set", $0] }
      expectRefusal(
        try run(workspace, pretrained, pretrained), 65,
        "rank 1 on \(Self.host): the content of model.initial_parameters is ")
      let evaluate = ["evaluate", last, "--corpus", "corpus", "--streams", "4"]
      expectRefusal(
        try run(workspace, evaluate, evaluate), 65, "rank 1 on \(Self.host): \(last): differs from")
      expectRefusal(
        try run(workspace, longer, longer.dropLast(2)), 64, "rank 1 on \(Self.host): --resume is not given")

      // What the first rank found is what all resume from, and the second host's links do not matter.
      try FileManager.default.removeItem(atPath: workspace.file("b/\(last)"))
      try workspace.copy("a/\(last)", to: "b/\(last)")
      let resumed = try run(workspace, longer, longer)
      #expect(resumed.status == 0, "\(resumed.standardError)")
    }

    #if arch(x86_64)
      @Test func anotherInstructionSetOfOneRankIsRefused() throws {
        let workspace = try makeWorkspace()
        for arguments in [["train", "run.yaml"], ["benchmark", "--size", "S", "--hidden", "8", "--steps", "1"]] {
          let outcome = try run(
            workspace, arguments, arguments, environment: ["LOCKSTEP_KERNELS": "portable"])
          expectRefusal(
            outcome, 64, "rank 1 on \(Self.host): the instruction set is portable, ", "--kernels avx512, avx2")
        }
        #expect(!workspace.exists("a/run") && !workspace.exists("b/run"))
        let common = try run(
          workspace, ["train", "run.yaml", "--kernels", "portable"], ["train", "run.yaml"],
          environment: ["LOCKSTEP_KERNELS": "portable"])
        #expect(common.status == 0, "\(common.standardError)")
      }
    #endif

    @Test func otherCommandsAndOptionsAreRefused() throws {
      let workspace = try makeWorkspace()
      let benchmark = ["benchmark", "--size", "S", "--hidden", "8", "--steps", "1"]
      expectRefusal(
        try run(workspace, benchmark, benchmark + ["--vocabulary", "999"]), 64, "rank 1 on", "--vocabulary is 999")
      expectRefusal(
        try run(workspace, benchmark, ["train", "run.yaml"]), 64, "the command is 'train', rank 0 on", "'benchmark'")
    }

    @Test func anErrorOfOneRankBeforeMPIIsPrinted() throws {
      let workspace = try makeWorkspace()
      let train = ["train", "run.yaml"]
      expectRefusal(
        try run(workspace, train, train + ["--bogus"]), 64, "error: rank 1 on \(Self.host): Unknown option '--bogus'")
      expectRefusal(try run(workspace, train + ["--bogus"], train), 64, "error: rank 0 on \(Self.host): Unknown option")
      let both = try run(workspace, train + ["--bogus"], train + ["--false"])
      #expect(both.status == 64 && both.errorLines.count == 2, "\(both.standardError)")
    }

    /// A process that takes itself for a rank, and is alone.
    @Test func aRankWithoutALauncherPrintsItsError() throws {
      let workspace = try Workspace()
      let variables = ["OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"]
      for arguments in [["inspect", "nothing"], ["train", "--bogus"], ["train", "nothing.yaml"]] {
        let outcome = try ChildProcess.run(
          "lockstep", arguments, environment: ChildProcess.inheritedEnvironment.merging(variables) { $1 },
          directory: workspace.path, deadline: .seconds(30))
        #expect(outcome.status == 64 && outcome.errorLines.count == 1, "\(arguments): \(outcome.standardError)")
      }
    }

    @Test func anErrorThatAllRanksMeetIsPrintedOnce() throws {
      let workspace = try makeWorkspace()
      try workspace.prepare(characters: 3000)
      for (status, arguments) in [
        (64, ["benchmark", "--gradient-shards", "2"]), (64, ["benchmark", "--layers", "0"]),
        (64, ["evaluate", "nowhere", "--corpus", "corpus", "--streams", "2"]), (64, ["train"]),
        (65, ["evaluate", "nowhere", "--corpus", "corpus", "--streams", "3"]), (64, ["trian", "run.yaml"]),
      ] as [(Int32, [String])] {
        let outcome = try workspace.run(arguments, .ranks(3))
        expectRefusal(outcome, status, "error: ")
        #expect(!outcome.standardError.contains("MPI_ABORT"), "\(arguments): \(outcome.standardError)")
      }
    }

    @Test func commandsForOneProcessRefuseSeveralRanks() throws {
      let workspace = try makeWorkspace()
      try workspace.write("some text", to: "text.txt")
      for arguments in [
        ["prepare", "text.txt", "--output", "new"], ["generate", "run"], ["inspect", "a/corpus"], ["config"],
      ] {
        let outcome = try workspace.run(arguments, .ranks(2))
        expectRefusal(outcome, 64, "'\(arguments[0])' is for one process, and 2 ranks were started", "without mpirun")
        #expect(outcome.standardOutput == "")
      }
      #expect(!workspace.exists("new"))
      try workspace.succeed(["inspect", "a/corpus"], .ranks(1))
      let help = try workspace.succeed(["--help"], .ranks(2))
      #expect(help.standardOutput.split(separator: "\n").count { $0.hasPrefix("OVERVIEW") } == 1)
    }

    @Test func tasksOfSlurmWithoutMPIAreRefused() throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 3000)
      try workspace.configure()
      func run(_ arguments: [String]) throws -> ChildProcess.Outcome {
        try ChildProcess.run(
          "lockstep", ["train", "run.yaml"] + arguments,
          environment: ChildProcess.inheritedEnvironment.merging(["SLURM_STEP_NUM_TASKS": "2"]) { $1 },
          directory: workspace.path, deadline: .seconds(30))
      }
      expectRefusal(try run([]), 64, "srun has started 2 tasks", "srun --mpi=pmix", "mpirun", "--one-run-per-task")
      #expect(!workspace.exists("run"))
      #expect(try run(["--one-run-per-task"]).status == 0)
    }
  }
}
