import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// What people mistype most. A golden file each, so that a change of wording is seen and read.
  @Suite struct ErrorMessageTests {
    struct Mistake: Sendable, CustomTestStringConvertible {
      let name: String
      let status: Int32
      let arguments: [String]
      var workers = Workspace.Workers.alone
      var testDescription: String { name }

      init(_ name: String, _ status: Int32, _ arguments: String..., under workers: Workspace.Workers = .alone) {
        (self.name, self.status, self.arguments, self.workers) = (name, status, arguments, workers)
      }
    }

    private static let mistakes = [
      Mistake("unknown-subcommand", 64, "trian", "run.yaml"),
      Mistake("unknown-option", 64, "train", "run.yaml", "--worker", "2"),
      Mistake("missing-argument", 64, "train"),
      Mistake("value-of-another-type", 64, "train", "run.yaml", "--workers", "two"),
      Mistake("no-workers", 64, "train", "run.yaml", "--workers", "0"),

      Mistake("prepare-missing-text", 65, "prepare", "missing.txt", "--output", "new"),
      Mistake("prepare-empty-text", 65, "prepare", "empty.txt", "--output", "new"),
      Mistake("prepare-existing-corpus", 73, "prepare", "text.txt", "--output", "corpus"),
      Mistake("prepare-unknown-tokenizer", 64, "prepare", "text.txt", "--output", "new", "--tokenizer", "bpe"),
      Mistake("prepare-bad-split", 64, "prepare", "text.txt", "--output", "new", "--split", "0.9,0.2,0.1"),
      Mistake("prepare-invalid-utf-8", 65, "prepare", "latin1.txt", "--output", "new"),
      Mistake("prepare-below-a-file", 73, "prepare", "text.txt", "--output", "text.txt/new"),

      Mistake("train-missing-config", 64, "train", "missing.yaml"),
      Mistake("train-unknown-key", 64, "train", "typo.yaml"),
      Mistake("train-bad-value", 64, "train", "bad-value.yaml"),
      Mistake("train-broken-yaml", 64, "train", "broken.yaml"),
      Mistake("train-unknown-set-key", 64, "train", "run.yaml", "--set", "optimizer.lerning_rate=1"),
      Mistake("train-bad-set-value", 64, "train", "run.yaml", "--set", "model.layers=two"),
      Mistake("train-set-without-value", 64, "train", "run.yaml", "--set", "model.layers"),
      Mistake("train-missing-corpus", 65, "train", "run.yaml", "--set", "data.corpus=nowhere"),
      Mistake("train-directory-is-no-corpus", 65, "train", "run.yaml", "--set", "data.corpus=."),
      Mistake("train-resume-without-checkpoint", 65, "train", "fresh.yaml", "--resume", "latest"),
      Mistake("train-resume-missing-path", 65, "train", "fresh.yaml", "--resume", "nowhere.h5"),
      Mistake(
        "train-resume-other-shape", 64, "train", "run.yaml", "--resume", "latest", "--set", "model.hidden_size=16"),
      Mistake("train-too-many-workers", 64, "train", "fresh.yaml", "--workers", "6"),
      Mistake("train-existing-run", 73, "train", "run.yaml"),
      Mistake("train-unwritable-run", 73, "train", "run.yaml", "--set", "run.directory=text.txt/run"),
      Mistake("train-too-many-streams", 64, "train", "fresh.yaml", "--set", "data.streams=6000"),
      Mistake("train-missing-initial-parameters", 65, "train", "fresh.yaml", "--set", "model.initial_parameters=no.h5"),
      Mistake(
        "train-wrong-initial-parameters", 65, "train", "fresh.yaml", "--set", "model.initial_parameters=text.txt"),

      Mistake("evaluate-missing-checkpoint", 65, "evaluate", "nowhere", "--corpus", "corpus"),
      Mistake("evaluate-missing-corpus", 65, "evaluate", "run", "--corpus", "nowhere"),
      Mistake("evaluate-other-corpus", 65, "evaluate", "run", "--corpus", "words"),
      Mistake("evaluate-unknown-split", 64, "evaluate", "run", "--corpus", "corpus", "--split", "dev"),
      Mistake("evaluate-more-workers-than-streams", 64, "evaluate", "run", "--corpus", "corpus", "--workers", "2"),
      Mistake("generate-unknown-character", 64, "generate", "run", "--prompt", "語"),
      Mistake("generate-negative-temperature", 64, "generate", "run", "--temperature=-1"),
      Mistake("generate-top-p-of-two", 64, "generate", "run", "--top-p", "2"),
      Mistake("generate-top-k-of-none", 64, "generate", "run", "--top-k", "0"),
      Mistake("generate-negative-length", 64, "generate", "run", "--length=-3"),
      Mistake("inspect-missing-file", 65, "inspect", "nowhere"),
      Mistake("inspect-foreign-file", 65, "inspect", "text.txt"),
      Mistake("inspect-foreign-directory", 65, "inspect", "."),
      Mistake("benchmark-no-layers", 64, "benchmark", "--layers", "0"),
      Mistake("benchmark-too-many-workers", 64, "benchmark", "--workers", "3", "--gradient-shards", "2"),
    ]

    private static let mistakesUnderMPI = [
      Mistake("mpirun-workers-option", 64, "train", "fresh.yaml", "--workers", "2", under: .ranks(2)),
      Mistake("mpirun-too-many-ranks", 64, "train", "fresh.yaml", under: .ranks(6)),
      Mistake("mpirun-unknown-option", 64, "train", "fresh.yaml", "--worker", "2", under: .ranks(2)),
      Mistake("mpirun-unknown-key", 64, "train", "typo.yaml", under: .ranks(3)),
      Mistake("mpirun-missing-corpus", 65, "train", "fresh.yaml", "--set", "data.corpus=nowhere", under: .ranks(3)),
      Mistake("mpirun-existing-run", 73, "train", "run.yaml", under: .ranks(2)),
    ]

    /// A directory in which each mistake can be made.
    private static func makeWorkspace() throws -> Workspace {
      let workspace = try Workspace()
      try workspace.prepare()
      try workspace.succeed(["prepare", "text.txt", "--output", "words", "--tokenizer", "word"])
      try workspace.configure(["training.steps": "2", "training.log_every": "100"], as: "run.yaml")
      try workspace.configure(["training.steps": "2", "run.directory": "fresh"], as: "fresh.yaml")
      try workspace.configure(["model.hiden_size": "12"], as: "typo.yaml")
      try workspace.configure(["model.dropout": "1.5"], as: "bad-value.yaml")
      try workspace.write("model:\n  cell: lstm\n   layers: 2\n", to: "broken.yaml")
      try workspace.write("", to: "empty.txt")
      try Data([0x61, 0x62, 0x0A, 0x63, 0xE9, 0x0A]).write(to: URL(fileURLWithPath: workspace.file("latin1.txt")))
      try workspace.succeed(["train", "run.yaml"])
      return workspace
    }

    @Test func messagesAreAsWritten() throws {
      let workspace = try Self.makeWorkspace()
      for mistake in Self.mistakes { try check(mistake, workspace, launcher: "") }
      #expect(!workspace.exists("new"))
      #expect(!workspace.exists("fresh"))
    }

    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
    func ranksPrintOneMessageTogether() throws {
      let workspace = try Self.makeWorkspace()
      for mistake in Self.mistakesUnderMPI {
        guard case .ranks(let count) = mistake.workers else { continue }
        try check(mistake, workspace, launcher: "mpirun -n \(count) ")
      }
      #expect(!workspace.exists("fresh"))
    }

    private func check(_ mistake: Mistake, _ workspace: Workspace, launcher: String) throws {
      let outcome = try workspace.run(mistake.arguments, mistake.workers)
      #expect(outcome.status == mistake.status, "\(mistake.name): \(outcome.standardError)")
      #expect(outcome.standardOutput == "", "\(mistake.name)")
      #expect(outcome.errorLines.count == 1, "\(mistake.name): \(outcome.standardError)")
      try GoldenFile.check(
        GoldenFile.transcript(mistake.arguments, outcome, workspace, launcher: launcher), "error-\(mistake.name)")
    }
  }
}
