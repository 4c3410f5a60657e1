import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// Checkpoints of format version 1 open in every later build.
  @Suite struct VersionOneTests {
    /// Runs and corpora as the last build of version 1 wrote them, in a workspace of their own.
    static func workspace() throws -> Workspace {
      let fixtures =
        ((#filePath as NSString).deletingLastPathComponent as NSString).deletingLastPathComponent
        + "/Fixtures/version-1"
      let workspace = try Workspace()
      for name in ["corpus", "lstm", "gru-adam", "tied-adam"] {
        try FileManager.default.copyItem(atPath: "\(fixtures)/\(name)", toPath: workspace.file(name))
      }
      return workspace
    }

    static let runs = ["lstm", "gru-adam", "tied-adam"]

    @Test(arguments: runs)
    func itsCheckpointsCanBeRead(run: String) throws {
      let workspace = try Self.workspace()
      for name in try workspace.names(in: "\(run)/checkpoints") {
        let path = "\(run)/checkpoints/\(name)"
        let report = try workspace.succeed(["inspect", path, "--json"]).jsonObject()
        #expect(report["format_version"] as? Int == 1)
        #expect(report["digest_ok"] as? Bool == true)
        #expect(report["run"] == nil && report["instruction_set"] == nil)
        #expect(try workspace.succeed(["inspect", path]).standardOutput.contains("version 1, written by"))
        let loss = try workspace.succeed(["evaluate", path, "--corpus", "corpus", "--json"]).jsonObject()
        #expect((1...3.5).contains(loss["nats_per_token"] as? Double ?? 0), "\(path)")
        #expect(try workspace.succeed(["generate", path, "--length", "9"]).standardOutput.utf8.count >= 10)
      }
      for name in [run, "\(run)/latest", "\(run)/best"] { try workspace.succeed(["inspect", name]) }
    }

    @Test(arguments: runs)
    func itsRunsCanBeResumed(run: String) throws {
      let workspace = try Self.workspace()
      // In place, and into a directory of its own from the end of the first epoch.
      let arguments = ["train", "\(run)/config.yaml", "--set", "training.steps=24", "--resume"]
      let resumed = try workspace.succeed(arguments + ["latest"], .threads(2))
      #expect(resumed.standardError.contains("resuming from"))
      #expect(try workspace.saved(run).step == 24)
      let epochEnd = "\(run)/checkpoints/step-0000000011.h5"
      let fork = try workspace.succeed(arguments + [epochEnd, "--set", "run.directory=fork"], .threads(2))
      #expect(fork.weightDigest != nil)
      let report = try workspace.succeed(["inspect", "fork", "--json"]).jsonObject()
      #expect(report["format_version"] as? Int == 2)
      #expect(report["step"] as? Int == 24)
      #expect(report["precision"] as? String == "f32" && report["instruction_set"] is String)
    }
  }
}
