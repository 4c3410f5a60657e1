import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// An n-gram model through the command.
  @Suite struct BaselineTests {
    private struct Figures: Decodable {
      let tokens: Int
      let natsPerToken: Double
      let perplexity: Double
    }

    /// Words of which few are frequent and many rare, in lines of eleven.
    private func text(words: Int, seed: UInt64) -> String {
      var state = seed
      return (0..<words).map { index in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let unit = Double(state >> 40) / 0x1p24
        return "w\(Int(unit * unit * unit * 60))" + (index % 11 == 10 ? "\n" : " ")
      }.joined()
    }

    private func prepared(tokenizer: String) throws -> Workspace {
      let workspace = try Workspace()
      for (index, name) in ["train", "valid", "test"].enumerated() {
        try workspace.write(text(words: [4000, 500, 700][index], seed: UInt64(index)), to: "\(name).txt")
      }
      try workspace.succeed([
        "prepare", "train.txt", "--valid", "valid.txt", "--test", "test.txt", "--tokenizer", tokenizer, "--output",
        "corpus",
      ])
      return workspace
    }

    private func figures(_ workspace: Workspace, _ arguments: [String]) throws -> Figures {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      return try decoder.decode(
        Figures.self, from: Data(workspace.succeed(arguments + ["--json"]).standardOutput.utf8))
    }

    @Test(.enabled(if: Python.has(["argparse"]), "there is no Python"), arguments: ["word", "char"], [1, 2, 3, 5])
    func anIndependentScriptFindsTheSame(tokenizer: String, order: Int) throws {
      let workspace = try prepared(tokenizer: tokenizer)
      let script = (#filePath as NSString).deletingLastPathComponent + "/kneser_ney.py"
      let outcome = try ChildProcess.run(
        Python.interpreter,
        [
          script, workspace.file("train.txt"), workspace.file("test.txt"), "--order", "\(order)", "--tokenizer",
          tokenizer,
        ], deadline: .seconds(60))
      #expect(outcome.status == 0, "\(outcome.standardError)")
      let lines = outcome.standardOutput.split(separator: "\n").map { $0.split(separator: " ") }
      func value(_ name: String) -> Double? {
        lines.first { $0.first.map(String.init) == name }.flatMap { $0.last }.flatMap { Double($0) }
      }
      let found = try figures(workspace, ["baseline", "corpus", "--order", "\(order)"])
      // The script counts the first token, which nothing predicts.
      #expect(value("tokens") == Double(found.tokens + 1))
      #expect(abs(try #require(value("nats_per_token")) - found.natsPerToken) < 1e-6)
    }

    @Test func theModelIsKeptAndEvaluated() throws {
      let workspace = try prepared(tokenizer: "word")
      let trained = try figures(workspace, ["baseline", "corpus", "--split", "valid", "--output", "model.h5"])
      let kept = try figures(workspace, ["evaluate", "model.h5", "--corpus", "corpus", "--split", "valid"])
      #expect(trained.natsPerToken == kept.natsPerToken && trained.tokens == kept.tokens)
      // Cut into streams, each starts without a context.
      let cut = try figures(
        workspace, ["evaluate", "model.h5", "--corpus", "corpus", "--split", "valid", "--streams", "7"])
      #expect(cut.tokens == kept.tokens && cut.natsPerToken != kept.natsPerToken)
      let inspected = try workspace.succeed(["inspect", "model.h5"]).standardOutput
      #expect(inspected.contains("n-gram model, intact"))
      let said = try workspace.succeed(["baseline", "corpus", "--order", "1"]).standardError
      #expect(said.contains("discounts of n-grams of 1 token"))
    }

    @Test func whatANGramModelIsNotForIsRefusedInOneLine() throws {
      let workspace = try prepared(tokenizer: "word")
      try workspace.succeed(["baseline", "corpus", "--output", "model.h5"])
      try workspace.write(
        """
        model: {hidden_size: 8}
        data: {corpus: corpus, streams: 2, window: 5}
        training: {steps: 1}
        run: {directory: run}
        """, to: "small.yaml")
      #expect(
        try workspace.fail(65, ["generate", "model.h5"])
          == "error: model.h5: is an n-gram model, not a recurrent language model; "
          + "name a checkpoint of a run with task language_model")
      #expect(
        try workspace.fail(65, ["train", "small.yaml", "--resume", "model.h5"])
          .contains("model.h5: is a 'lockstep n-gram model', not a Lockstep checkpoint; name a checkpoint"))
      let order = try workspace.run(["baseline", "corpus", "--order", "6"])
      #expect(order.status == 64 && order.standardError.contains("give 1 to 5"))
    }

    @Test func aDamagedModelIsRefused() throws {
      let workspace = try prepared(tokenizer: "word")
      try workspace.succeed(["baseline", "corpus", "--output", "model.h5"])
      var bytes = try workspace.bytes("model.h5")
      bytes[bytes.count / 2] ^= 0x10
      try bytes.write(to: URL(fileURLWithPath: workspace.file("damaged.h5")))
      try bytes.prefix(bytes.count - 100).write(to: URL(fileURLWithPath: workspace.file("short.h5")))
      for (name, part) in [("damaged.h5", "does not match its SHA-256"), ("short.h5", "truncated")] {
        let outcome = try workspace.run(["evaluate", name, "--corpus", "corpus"])
        #expect(outcome.status == 65 && outcome.standardError.contains(part), "\(outcome.standardError)")
      }
    }
  }
}
