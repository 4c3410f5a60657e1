import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// Text in, model out: prepare, train, evaluate, generate, inspect.
  @Suite struct MainPathTests {
    @Test func textBecomesAModelThatWritesText() throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 12_000, arguments: ["--shards", "2"])
      try workspace.configure(
        [
          "model.hidden_size": "24", "model.embedding_size": "24", "optimizer.learning_rate": "0.02",
          "training.steps": nil, "training.epochs": "2", "training.checkpoint_every": "100",
          "training.validate_every": "60", "run.keep": "2",
        ])
      let training = try workspace.succeed(["train", "run.yaml"])
      let summary = training.standardOutput.split(separator: "\n")
      for beginning in ["done: ", "last validation: ", "weights sha256 ", "checkpoints: "] {
        #expect(summary.count { $0.hasPrefix(beginning) } == 1, "\(beginning)")
      }
      try expectLayoutOfRun(workspace)
      let (first, last) = try expectMetrics(workspace)
      // Far below the entropy of characters drawn one by one: it has learned the words.
      #expect(first > 3 && last < 2, "the validation loss went from \(first) to \(last)")
      try expectEvaluation(workspace, near: last)
      try expectGeneration(workspace)
    }

    private func expectLayoutOfRun(_ workspace: Workspace) throws {
      #expect(try workspace.names(in: "run") == ["best", "checkpoints", "config.yaml", "latest", "metrics.jsonl"])
      let checkpoints = try workspace.names(in: "run/checkpoints")
      #expect((2...3).contains(checkpoints.count), "\(checkpoints)")
      #expect(checkpoints.allSatisfy { $0.wholeMatch(of: /step-[0-9]{10}\.h5/) != nil })
      for link in ["latest", "best"] {
        let target = try FileManager.default.destinationOfSymbolicLink(atPath: workspace.file("run/\(link)"))
        #expect(checkpoints.map { "checkpoints/\($0)" }.contains(target))
      }
      // The configuration in effect is a configuration itself.
      try workspace.succeed(["train", "run/config.yaml", "--set", "run.directory=again", "--set", "training.steps=1"])
    }

    /// Checks every row, and returns the first and the last loss: of training, and of validation.
    private func expectMetrics(_ workspace: Workspace) throws -> (first: Double, last: Double) {
      let rows = try workspace.read("run/metrics.jsonl").split(separator: "\n").map {
        try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
      }
      let trainKeys: Set = ["step", "epoch", "loss", "tokens", "tokens_per_second", "gradient_norm", "learning_rate"]
      let validKeys: Set = ["step", "epoch", "valid_nats_per_token", "valid_perplexity"]
      let training = rows.filter { Set($0.keys).subtracting(["run"]) == trainKeys }
      let validation = rows.filter { Set($0.keys).subtracting(["run"]) == validKeys }
      #expect(training.count + validation.count == rows.count)
      #expect(training.compactMap { $0["step"] as? Int } == Array(1...training.count))
      #expect(training.last?["epoch"] as? Int == 2)
      let losses = training.compactMap { $0["loss"] as? Double }
      let nats = validation.compactMap { $0["valid_nats_per_token"] as? Double }
      for (row, nats) in zip(validation, nats) {
        let perplexity = try #require(row["valid_perplexity"] as? Double)
        #expect(abs(perplexity - exp(nats)) < 1e-9 * perplexity)
      }
      #expect(validation.compactMap { $0["step"] as? Int }.prefix(2) == [60, 120])
      // No token is dropped: an epoch is every token of the split but the first.
      let corpus = try workspace.succeed(["inspect", "corpus", "--json"]).jsonObject()
      let splits = try #require(corpus["splits"] as? [[String: Any]])
      let tokens = try #require(splits.first { $0["name"] as? String == "train" }?["tokens"] as? Int)
      #expect(training.last?["tokens"] as? Int == 2 * (tokens - 1))
      return (try #require(losses.first), try #require(nats.last))
    }

    private func expectEvaluation(_ workspace: Workspace, near loss: Double) throws {
      let arguments = ["evaluate", "run", "--corpus", "corpus"]
      let report = try workspace.succeed(arguments + ["--split", "valid", "--json"]).jsonObject()
      let nats = try #require(report["nats_per_token"] as? Double)
      // Training validates on several streams that each start from a zero state; this is one.
      #expect(abs(nats - loss) < 0.1)
      #expect(abs(try #require(report["perplexity"] as? Double) - exp(nats)) < 1e-9 * exp(nats))
      #expect(abs(try #require(report["bits_per_token"] as? Double) - nats / log(2)) < 1e-12)

      let test = try workspace.succeed(arguments + ["--split", "test", "--json"]).jsonObject()
      let corpus = try workspace.succeed(["inspect", "corpus", "--json"]).jsonObject()
      let splits = try #require(corpus["splits"] as? [[String: Any]])
      let tokens = try #require(splits.first { $0["name"] as? String == "test" }?["tokens"] as? Int)
      #expect(test["tokens"] as? Int == tokens - 1)

      // The test split is the default, a checkpoint may be named in three ways, and people get the same numbers.
      let text = try workspace.succeed(arguments).standardOutput
      #expect(text.contains(String(format: "%.4f", try #require(test["nats_per_token"] as? Double))))
      let target = try FileManager.default.destinationOfSymbolicLink(atPath: workspace.file("run/latest"))
      for name in ["run/latest", "run/\(target)"] {
        let other = try workspace.succeed(["evaluate", name, "--corpus", "corpus", "--json"]).jsonObject()
        #expect(other["nats_per_token"] as? Double == test["nats_per_token"] as? Double)
      }
      // Workers change nothing here either.
      let spread = arguments + ["--streams", "5", "--json"]
      let alone = try workspace.succeed(spread).jsonObject()["nats_per_token"] as? Double
      #expect(alone != nil)
      for count in [2, 3] {
        #expect(try workspace.succeed(spread, .threads(count)).jsonObject()["nats_per_token"] as? Double == alone)
      }
    }

    private func expectGeneration(_ workspace: Workspace) throws {
      func generate(_ arguments: String...) throws -> String {
        try workspace.succeed(["generate", "run", "--length", "60"] + arguments).standardOutput
      }
      let text = try generate()
      #expect(try generate() == text)
      #expect(try generate("--seed", "2") != text)
      #expect(text.count == 61, "60 characters and a line end")
      let continued = try generate("--prompt", "the river")
      #expect(continued.hasPrefix("the river") && continued.count == 70)
      // Three ways to leave no choice.
      let best = try generate("--temperature", "0")
      #expect(try generate("--temperature", "0", "--seed", "9") == best)
      #expect(try generate("--top-k", "1", "--seed", "9") == best)
      #expect(try generate("--top-p", "0.000001", "--seed", "9") == best)
      #expect(try generate("--top-k", "3", "--top-p", "0.9", "--temperature", "0.8") != best)
      #expect(try workspace.succeed(["generate", "run", "--length", "0", "--prompt", "a"]).standardOutput == "a\n")
    }

    @Test func bytesAndWordsAreTokensToo() throws {
      let workspace = try Workspace()
      for tokenizer in ["byte", "word"] {
        try workspace.prepare(tokenizer, arguments: ["--tokenizer", tokenizer])
        let changes = ["data.corpus": tokenizer, "run.directory": "run-\(tokenizer)", "training.steps": "6"]
        try workspace.configure(changes)
        try workspace.succeed(["train", "run.yaml"])
        let report = try workspace.succeed(["inspect", "run-\(tokenizer)", "--json"]).jsonObject()
        #expect(report["tokenizer"] as? String == tokenizer)
        let text = try workspace.run(
          ["generate", "run-\(tokenizer)", "--length", "20", "--temperature", "0", "--prompt", "the river"])
        #expect(text.status == 0 && text.standardOutput.hasPrefix("the river"))
        if tokenizer == "byte" { #expect(report["vocabulary_size"] as? Int == 256) }
        let evaluation = try workspace.succeed(["evaluate", "run-\(tokenizer)", "--corpus", tokenizer, "--json"])
        #expect(try evaluation.jsonObject()["tokens"] as? Int ?? 0 > 10)
      }
    }

    @Test func benchmarkMeasures() throws {
      let arguments = [
        "benchmark", "--layers", "1", "--hidden", "32", "--vocabulary", "50", "--streams", "4", "--window", "5",
        "--steps", "3", "--warmup", "1",
      ]
      let report = try Workspace().succeed(arguments + ["--json"], .threads(2)).jsonObject()
      for key in [
        "milliseconds_per_step", "tokens_per_second", "gflops", "ceiling_gflops", "ceiling_share", "peak_memory_bytes",
      ] {
        #expect(report[key] as? Double ?? 0 > 0, "\(key)")
      }
      #expect((report["phases"] as? [String: Any])?.isEmpty == false)
      #expect(try Workspace().succeed(arguments).standardOutput.contains("tokens/s"))
    }
  }
}
