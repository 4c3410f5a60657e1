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
