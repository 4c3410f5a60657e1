import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// Corpora that are damaged, replaced, or made by several processes at once, as the command meets them.
  @Suite struct CorpusIntegrityTests {
    private func write(_ bytes: Data, _ workspace: Workspace, _ name: String) throws {
      try bytes.write(to: URL(fileURLWithPath: workspace.file(name)))
    }

    @Test func aFlippedBitInACorpusEndsEveryCommandBeforeAnythingIsWritten() throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 3000, arguments: ["--shards", "2"])
      try workspace.configure(["training.steps": "3"])
      try workspace.succeed(["train", "run.yaml"])
      for (file, split) in [("manifest.h5", "train"), ("train-00001.h5", "train"), ("valid-00000.h5", "valid")] {
        let name = "corpus/\(file)"
        let intact = try workspace.bytes(name)
        // The magic, the version, the digest, the empty rest of the first block, HDF5's header, the middle, the end.
        for place in [3, 30, 90, 400, 515, 900, intact.count / 2, intact.count - 1] {
          var bytes = intact
          bytes[place] ^= 0x10
          try write(bytes, workspace, name)
          for arguments in [
            ["train", "run.yaml", "--set", "run.directory=other"],
            ["evaluate", "run", "--corpus", "corpus", "--split", split, "--json"],
          ] {
            let outcome = try workspace.run(arguments)
            #expect(outcome.status == 65, "\(name), byte \(place), \(arguments[0]): \(outcome.standardError)")
            #expect(outcome.errorLines.count == 1 && outcome.errorLines[0].contains(name), "\(outcome.standardError)")
            #expect(outcome.standardOutput == "")
            #expect(!workspace.exists("other"))
          }
        }
        try write(intact, workspace, name)
      }
      try workspace.succeed(["evaluate", "run", "--corpus", "corpus"])
    }

    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
    func aDamagedShardEndsAllRanks() throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 3000, arguments: ["--shards", "3"])
      try workspace.configure()
      var bytes = try workspace.bytes("corpus/train-00002.h5")
      bytes[bytes.count - 1] ^= 1
      try write(bytes, workspace, "corpus/train-00002.h5")
      let message = try workspace.fail(65, ["train", "run.yaml"], .ranks(3))
      #expect(message.contains("corpus/train-00002.h5: damaged"), "\(message)")
      #expect(!workspace.exists("run"))
    }

    @Test func aCorpusOfVersion1TrainsAsItsTextPreparedAnew() throws {
      let workspace = try Workspace()
      let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/version-1").path
      for name in ["corpus", "train.txt", "valid.txt", "test.txt"] {
        try FileManager.default.copyItem(
          atPath: "\(fixtures)/\(name)", toPath: workspace.file(name == "corpus" ? "old" : name))
      }
      try workspace.succeed(
        ["prepare", "train.txt", "--valid", "valid.txt", "--test", "test.txt", "--output", "corpus", "--shards", "2"])
      try workspace.configure(["training.steps": "6"])
      let new = try workspace.succeed(["train", "run.yaml"])
      let old = try workspace.succeed(
        ["train", "run.yaml", "--set", "data.corpus=old", "--set", "run.directory=other"])
      #expect(new.weightDigest != nil && old.weightDigest == new.weightDigest)
      // Its shards have digests too, if not its manifest.
      var bytes = try workspace.bytes("old/train-00000.h5")
      bytes[bytes.count / 2] ^= 1
      try write(bytes, workspace, "old/train-00000.h5")
      let message = try workspace.fail(
        65, ["train", "run.yaml", "--set", "data.corpus=old", "--set", "run.directory=third"])
      #expect(message.contains("old/train-00000.h5"))
      #expect(!workspace.exists("third"))
    }

    @Test func anotherTextIsEvaluatedWithTheModelsVocabulary() throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 4000, arguments: ["--tokenizer", "word", "--min-count", "2"])
      try workspace.configure(["training.steps": "4"])
      try workspace.succeed(["train", "run.yaml"])
      try workspace.write("the river sang quietly under a stone.\nwe sang and the birds sang.\n", to: "new.txt")
      try workspace.succeed(["prepare", "new.txt", "--test", "new.txt", "--output", "foreign", "--tokenizer", "word"])
      let message = try workspace.fail(65, ["evaluate", "run", "--corpus", "foreign"])
      #expect(message.contains("--vocabulary-from") && message.contains("the first that differs"), "\(message)")

      for source in ["run", "run/latest", "corpus", "corpus/manifest.h5"] {
        let report = try workspace.succeed(
          ["prepare", "--vocabulary-from", source, "--test", "new.txt", "--output", "new", "--force"]
        ).standardError
        #expect(report.contains("test   15 tokens") && report.contains("not in the vocabulary  "), "\(report)")
        let result = try workspace.succeed(["evaluate", "run", "--corpus", "new", "--json"]).jsonObject()
        #expect(result["tokens"] as? Int == 14)
      }
      // To train on: a train split alone will do.
      try workspace.succeed(
        ["prepare", "new.txt", "--vocabulary-from", "run", "--split", "1,0,0", "--output", "tuning"])
      try workspace.succeed([
        "train", "run.yaml", "--set", "data.corpus=tuning", "--set", "run.directory=tuned", "--set", "data.streams=2",
        "--set", "training.gradient_shards=1", "--set", "model.initial_parameters=run/latest",
      ])
      #expect(
        try workspace.fail(64, ["prepare", "new.txt", "--output", "x", "--unknown", "drop"])
          .contains("--unknown: goes with --vocabulary-from"))
      #expect(
        try workspace.fail(
          64, ["prepare", "new.txt", "--output", "x", "--vocabulary-from", "run", "--tokenizer", "char"]
        ).contains("belongs to the word tokenizer"))
      #expect(
        try workspace.fail(64, ["prepare", "new.txt", "--output", "x", "--vocabulary-from", "run", "--min-count", "2"])
          .contains("--min-count: the vocabulary is that of run"))
    }

    // MARK: prepare

    @Test func standardInputIsAText() throws {
      let workspace = try Workspace()
      try workspace.write(Workspace.text(characters: 3000), to: "text.txt")
      try workspace.succeed(["prepare", "text.txt", "--output", "file"])
      let outcome = try ChildProcess.run(
        "/bin/sh", ["-c", "cat text.txt | \"$0\" prepare - --output piped", ChildProcess.path(of: "lockstep")],
        directory: workspace.path, deadline: .seconds(60))
      #expect(outcome.status == 0, "\(outcome.standardError)")
      #expect(outcome.standardError.contains("standard input"))
      let digests = try ["file", "piped"].map {
        try workspace.succeed(["inspect", $0, "--json"]).jsonObject()["content_digest"] as? String
      }
      #expect(digests[0] != nil && digests[0] == digests[1])
      #expect(try workspace.names(in: "piped") == ["manifest.h5", "test-00000.h5", "train-00000.h5", "valid-00000.h5"])
      #expect(
        try workspace.fail(65, ["prepare", "-", "--output", "empty"]).contains("standard input: the file is empty"))
      #expect(
        try workspace.fail(64, ["prepare", "-", "--valid", "-", "--output", "twice"]).contains("only once"))
    }

    @Test func aListOfTextsBelongsToItsOption() throws {
      let workspace = try Workspace()
      for name in ["t.txt", "a.txt", "b.txt", "c.txt"] { try workspace.write("some words of \(name)\n", to: name) }
      let report = try workspace.succeed(
        ["prepare", "t.txt", "--valid", "a.txt", "b.txt", "--test", "c.txt", "--output", "corpus"]
      ).standardError
      #expect(report.contains("shard, from t.txt\n"), "\(report)")
      #expect(report.contains("shard, from a.txt, b.txt\n") && report.contains("shard, from c.txt\n"), "\(report)")
    }

    @Test func aFileThatLooksLikeAnOptionIsNamed() throws {
      let workspace = try Workspace()
      for name in ["-tune.txt", "-dash.txt"] {
        try workspace.write("some words and more\n", to: name)
        #expect(
          try workspace.fail(64, ["prepare", name, "--output", "corpus"])
            == "error: '\(name)' looks like an option; for the file, write ./\(name)")
        try workspace.succeed(["prepare", "./\(name)", "--output", "corpus", "--split", "1,0,0", "--force"])
      }
    }

    @Test func killedAndParallelPreparesLeaveNothingBehind() throws {
      let workspace = try Workspace()
      try workspace.write(Workspace.text(characters: 2_000_000), to: "text.txt")
      let arguments = ["prepare", "text.txt", "--tokenizer", "word", "--output", "corpus", "--force"]
      try workspace.succeed(arguments)
      var killed = 0
      for delay in [30, 60, 90, 120, 150, 200] as [UInt32] {
        let process = try workspace.start(arguments)
        usleep(delay * 1000)
        process.send(SIGKILL)
        if process.wait(deadline: .seconds(30)).status == 128 + SIGKILL { killed += 1 }
        // The one before is there, or the new one: whole in any case.
        try workspace.succeed(["inspect", "corpus"])
      }
      #expect(killed > 0)
      let together = try (0..<3).map { _ in try workspace.start(arguments) }
      for process in together {
        let outcome = process.wait(deadline: .seconds(60))
        #expect(outcome.status == 0, "\(outcome.standardError)")
      }
      #expect(try workspace.names(in: ".") == ["corpus", "text.txt"])
      try workspace.succeed(["inspect", "corpus"])
    }
  }
}
