import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// Files that are not what they should be.
  @Suite struct DamageTests {
    private static func makeRun(_ changes: [String: String?] = [:]) throws -> Workspace {
      let workspace = try Workspace()
      try workspace.prepare(characters: 3000, arguments: ["--shards", "2"])
      try workspace.configure(changes)
      try workspace.succeed(["train", "run.yaml"])
      return workspace
    }

    private func write(_ bytes: Data, _ workspace: Workspace, _ name: String) throws {
      try bytes.write(to: URL(fileURLWithPath: workspace.file(name)))
    }

    /// Every command that reads a checkpoint refuses this one, with a message that names it and says this.
    private func expectRefused(
      _ name: String, _ expected: String, inspection: String? = nil, _ workspace: Workspace
    ) throws {
      for arguments in [
        ["evaluate", name, "--corpus", "corpus", "--json"], ["generate", name],
        ["train", "run.yaml", "--resume", name, "--set", "run.directory=other"], ["inspect", name],
      ] {
        let outcome = try workspace.run(arguments)
        #expect(outcome.status == 65, "\(arguments): \(outcome.standardError)")
        let message = outcome.errorLines.first ?? ""
        #expect(outcome.errorLines.count == 1 && message.hasPrefix("error: \(name)"), "\(outcome.standardError)")
        let reason = arguments[0] == "inspect" ? inspection ?? expected : expected
        #expect(message.contains(reason), "\(arguments): \(outcome.standardError)")
        if arguments[0] != "inspect" { #expect(outcome.standardOutput == "") }
      }
      #expect(!workspace.exists("other"))
    }

    private func expectDamageInJSON(_ name: String, _ workspace: Workspace) throws {
      let outcome = try workspace.run(["inspect", name, "--json"])
      #expect(outcome.status == 65)
      let report = try outcome.jsonObject()
      #expect(report["kind"] as? String == "checkpoint")
      #expect(report["digest_ok"] as? Bool == false)
      #expect((report["damage"] as? String)?.hasPrefix(name) == true)
      #expect(report["parameters"] == nil)
    }

    @Test func aFlippedBitIsRefusedWhereverItIs() throws {
      let workspace = try Self.makeRun()
      let intact = try workspace.bytes("run/latest")
      // In the magic, the version, the digest, the empty rest of the first block, HDF5's own header, the data, the end.
      for (place, expected) in [
        (3, "not a Lockstep checkpoint"), (35, "damaged"), (90, "damaged"), (400, "damaged"), (515, "damaged"),
        (intact.count / 3, "damaged"), (intact.count / 2, "damaged"), (intact.count - 1, "damaged"),
      ] {
        var bytes = intact
        bytes[place] ^= 0x04
        try write(bytes, workspace, "flipped.h5")
        try expectRefused(
          "flipped.h5", expected, inspection: expected == "damaged" ? nil : "neither a Lockstep file", workspace)
        if expected == "damaged" { try expectDamageInJSON("flipped.h5", workspace) }
      }
    }

    @Test func aTruncatedFileIsRefused() throws {
      let workspace = try Self.makeRun()
      let intact = try workspace.bytes("run/latest")
      for length in [20, 100, 512, 513, intact.count / 2, intact.count - 1] {
        try write(intact.prefix(length), workspace, "cut.h5")
        try expectRefused("cut.h5", "truncated", workspace)
        try expectDamageInJSON("cut.h5", workspace)
      }
      try write(Data(), workspace, "cut.h5")
      try expectRefused("cut.h5", "is empty", workspace)
      try write(intact + Data([0]), workspace, "long.h5")
      try expectRefused("long.h5", "1 bytes more than were written", workspace)
    }

    @Test func aForeignFileIsRefused() throws {
      let workspace = try Self.makeRun()
      try write(Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 13]), workspace, "image.png")
      for name in ["image.png", "text.txt"] {
        try expectRefused(
          name, "is not a Lockstep checkpoint", inspection: "is neither a Lockstep file nor an HDF5 file", workspace)
      }
      // A file of a corpus is no checkpoint; its seal says what it is.
      for (name, kind, arguments) in [
        ("corpus/train-00000.h5", "shard", ["evaluate", "corpus/train-00000.h5", "--corpus", "corpus"]),
        ("corpus/manifest.h5", "manifest", ["generate", "corpus/manifest.h5"]),
      ] {
        #expect(
          try workspace.fail(65, arguments)
            == "error: \(name): is a 'lockstep corpus \(kind)', not a Lockstep checkpoint; name a checkpoint")
      }
      // A checkpoint without its first block is plain HDF5, whose tensors can be listed but not trusted.
      try write(try workspace.bytes("run/latest").dropFirst(512), workspace, "tensors.h5")
      #expect(try workspace.fail(65, ["generate", "tensors.h5"]).contains("not a Lockstep checkpoint"))
      #expect(try workspace.succeed(["inspect", "tensors.h5"]).standardOutput.contains("rnn.weight_ih_l0"))
    }

    @Test func aDamagedShardIsFoundAndNamed() throws {
      let workspace = try Workspace()
      // More than a chunk of tokens would be slow to make: the damage sits in the only one.
      try workspace.prepare(characters: 3000)
      try workspace.configure()
      try workspace.succeed(["train", "run.yaml"])
      let shard = "corpus/train-00000.h5"
      let intact = try workspace.bytes(shard)
      var bytes = intact
      bytes[intact.count - 200] ^= 0x10
      try write(bytes, workspace, shard)
      for arguments in [
        ["train", "run.yaml", "--set", "run.directory=other"],
        ["evaluate", "run", "--corpus", "corpus", "--split", "train"],
      ] {
        for workers in [Workspace.Workers.alone, .threads(2)] {
          let streams = arguments[0] == "evaluate" ? ["--streams", "4"] : []
          let message = try workspace.fail(65, arguments + streams, workers)
          #expect(message.contains(shard), "\(message)")
          try? FileManager.default.removeItem(atPath: workspace.file("other"))
        }
      }
      for path in ["corpus", "corpus/manifest.h5", shard] {
        let outcome = try workspace.run(["inspect", path, "--json"])
        #expect(outcome.status == 65)
        #expect(try outcome.jsonObject()["digest_ok"] as? Bool == false)
        #expect(outcome.errorLines.first?.contains("\(shard): damaged") == true, "\(outcome.standardError)")
      }

      // A writer that was killed before it could seal the file.
      try write(Data(repeating: 0, count: 512) + intact.dropFirst(512), workspace, shard)
      let inspection = try workspace.run(["inspect", shard, "--json"])
      #expect(inspection.status == 65)
      #expect(try inspection.jsonObject()["kind"] as? String == "shard")
      #expect(inspection.errorLines.first?.contains("\(shard): is a corpus shard that was never finished") == true)

      try write(intact.dropLast(10), workspace, shard)
      #expect(try workspace.fail(65, ["train", "run.yaml", "--set", "run.directory=other"]).contains(shard))
      try FileManager.default.removeItem(atPath: workspace.file(shard))
      #expect(try workspace.fail(65, ["inspect", "corpus"]).contains("\(shard): the shard is missing"))
    }

    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
    func aRankWithoutItsCorpusEndsTheJob() throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 3000)
      try workspace.configure(["training.epochs": "1000", "training.steps": nil])
      try FileManager.default.createDirectory(atPath: workspace.file("elsewhere"), withIntermediateDirectories: false)
      // The second rank starts in another directory, as on a node that lacks a mount.
      let script = """
        if [ "$OMPI_COMM_WORLD_RANK" = 1 ]; then cd elsewhere; fi
        exec "$0" train \(workspace.file("run.yaml"))
        """
      let outcome = try MPIRun.run(
        ranks: 3, "/bin/sh", ["-c", script, ChildProcess.path(of: "lockstep")], directory: workspace.path,
        deadline: .seconds(20))
      #expect(!outcome.timedOut)
      #expect(outcome.status == 65)
      #expect(
        outcome.errorLines == [
          "error: rank 1 on \(ProcessInfo.processInfo.hostName): corpus: no such corpus directory; make one with 'lockstep prepare TEXT --output DIR'"
        ], "\(outcome.standardError)")
      #expect(!workspace.exists("run"))
    }

    @Test func divergenceEndsTheRunAndSparesItsCheckpoint() throws {
      let workspace = try Self.makeRun(["optimizer.name": "sgd", "training.clip_norm": "0"])
      let before = try workspace.bytes("run/latest")
      let diverging = [
        "train", "run.yaml", "--set", "optimizer.learning_rate=1e38", "--set", "training.steps=50", "--resume",
        "latest",
      ]
      for workers in [Workspace.Workers.alone, .threads(3)] + (MPIRun.isAvailable ? [.ranks(2)] : []) {
        let message = try workspace.fail(70, diverging, workers)
        #expect(message.contains("diverged") && message.contains("learning_rate"), "\(message)")
        #expect(try workspace.bytes("run/latest") == before)
      }
      try workspace.succeed(["evaluate", "run", "--corpus", "corpus"])
      try workspace.succeed(["train", "run.yaml", "--resume", "latest", "--set", "training.steps=14"])
    }
  }
}
