import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// Checkpoints and shards are at home in HDF5's own tools.
  @Suite struct HDF5ToolTests {
    private static func isInstalled(_ tool: String) -> Bool {
      let directories = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
      return directories.contains { access("\($0)/\(tool)", X_OK) == 0 }
    }

    private static func makeRun() throws -> Workspace {
      let workspace = try Workspace()
      try workspace.prepare(characters: 3000)
      try workspace.configure()
      try workspace.succeed(["train", "run.yaml"])
      return workspace
    }

    @Test(.enabled(if: isInstalled("h5dump") && isInstalled("h5ls"), "hdf5-tools are not installed"))
    func h5dumpAndH5lsOpenThem() throws {
      let workspace = try Self.makeRun()
      for name in ["run/latest", "corpus/manifest.h5", "corpus/train-00000.h5"] {
        for command in [["h5dump", "-H"], ["h5dump"], ["h5ls", "-r"]] {
          let outcome = try ChildProcess.run(
            command[0], command.dropFirst() + [workspace.file(name)], deadline: .seconds(30))
          #expect(outcome.status == 0, "\(command) \(name): \(outcome.standardError)")
          #expect(outcome.standardError == "")
        }
      }
      let list = try ChildProcess.run("h5ls", ["-r", workspace.file("run/latest")], deadline: .seconds(30))
      for name in ["/parameters/encoder.weight", "/parameters/rnn.weight_ih_l0", "/config", "/vocabulary", "/history"] {
        #expect(list.standardOutput.contains(name))
      }
    }

    /// A checkpoint that another program has rewritten is no checkpoint any more, but its weights are weights.
    @Test(.enabled(if: isInstalled("h5repack"), "hdf5-tools are not installed"))
    func aRewrittenCheckpointIsToldFromADamagedOne() throws {
      let workspace = try Self.makeRun()
      let repack = try ChildProcess.run(
        "h5repack", ["-f", "GZIP=1", workspace.file("run/latest"), workspace.file("edited.h5")], deadline: .seconds(30))
      #expect(repack.status == 0, "\(repack.standardError)")
      let start = ["train", "run.yaml", "--set", "run.directory=other", "--set"]
      for arguments in [
        ["generate", "edited.h5"], ["inspect", "edited.h5"], start + ["model.initial_parameters=edited.h5"],
      ] {
        let message = try workspace.fail(65, arguments)
        #expect(message.contains("was changed since it was written") && message.contains("tail -c +513"), "\(message)")
      }
      // What the message says works.
      try Data(workspace.bytes("edited.h5").dropFirst(512))
        .write(to: URL(fileURLWithPath: workspace.file("weights.h5")))
      try workspace.succeed(start + ["model.initial_parameters=weights.h5"])
    }

    @Test(.enabled(if: Python.has(["h5py"]), "h5py is not installed: set LOCKSTEP_TORCH_PYTHON"))
    func h5pyReadsThem() throws {
      let workspace = try Self.makeRun()
      let script = """
        import h5py, sys
        with h5py.File(sys.argv[1], "r") as f:
            def text(value):
                return value.decode() if isinstance(value, bytes) else value
            assert text(f.attrs["format"]) == "lockstep checkpoint", f.attrs["format"]
            assert f["parameters/rnn.weight_ih_l0"].shape == (48, 10)
            assert text(f["parameters/rnn.weight_ih_l0"].attrs["gate_order"]) == "i f g o"
            assert "cell: lstm" in text(f["config"][()])
            assert len(f["vocabulary"]) == len(f["parameters/encoder.weight"])
            assert all(abs(f["parameters/decoder.bias"][:]) < 10)
            print(len(f["history/train/loss"]))
        """
      let outcome = try ChildProcess.run(
        Python.interpreter, ["-c", script, workspace.file("run/latest")], deadline: .seconds(60))
      #expect(outcome.status == 0, "\(outcome.standardError)")
      #expect(outcome.standardOutput == "3\n")
    }
  }
}
