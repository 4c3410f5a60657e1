import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  @Suite struct InspectTests {
    private static func makeRun(_ changes: [String: String?] = [:]) throws -> Workspace {
      let workspace = try Workspace()
      try workspace.prepare(characters: 3000, arguments: ["--shards", "2"])
      try workspace.configure(changes)
      try workspace.succeed(["train", "run.yaml"])
      return workspace
    }

    @Test func aCheckpointIsDescribedAsJSON() throws {
      let workspace = try Self.makeRun(["model.dropout": "0.25", "training.validate_every": "4"])
      let outcome = try workspace.succeed(["inspect", "run/latest", "--json"])
      #expect(outcome.standardError == "")
      let report = try outcome.jsonObject()
      #expect(report["kind"] as? String == "checkpoint")
      #expect(report["format_version"] as? Int == 2)
      #expect(report["digest_ok"] as? Bool == true)
      #expect(report["bytes"] as? Int == (try workspace.bytes("run/latest").count))
      #expect(report["step"] as? Int == 12)
      #expect(report["tokenizer"] as? String == "char")

      // Settings keep the types that they have in YAML.
      let config = try #require(report["config"] as? [String: [String: Any]])
      #expect(Set(config.keys) == ["model", "data", "optimizer", "schedule", "training", "run"])
      #expect(config["model"]?["cell"] as? String == "lstm")
      #expect(config["model"]?["hidden_size"] as? Int == 12)
      #expect(config["model"]?["dropout"] as? Double == 0.25)
      #expect(config["model"]?["tie_weights"] as? Bool == false)
      #expect(config["data"]?["corpus"] as? String == "corpus")
      #expect(config["training"]?["epochs"] == nil)
      #expect(config["schedule"]?["name"] as? String == "constant")

      let vocabulary = try #require(report["vocabulary_size"] as? Int)
      let parameters = try #require(report["parameters"] as? [[String: Any]])
      let names = parameters.compactMap { $0["name"] as? String }
      #expect(names.first == "encoder.weight" && names.last == "decoder.bias" && names.count == 11)
      let input = try #require(parameters.first { $0["name"] as? String == "rnn.weight_ih_l0" })
      #expect(input["shape"] as? [Int] == [48, 10])
      #expect(input["gate_order"] as? String == "i f g o")
      #expect(input["bytes"] as? Int == 48 * 10 * 4)
      #expect(parameters.first?["shape"] as? [Int] == [vocabulary, 10])
      #expect(parameters.first?["gate_order"] == nil)

      let optimizer = try #require(report["optimizer"] as? [String: Any])
      #expect(optimizer["name"] as? String == "adam")
      #expect((optimizer["slots"] as? [String])?.count == 2)
      let streams = try #require(report["streams"] as? [[String: Any]])
      #expect(Set(streams.compactMap { $0["name"] as? String }) == ["hidden_l0", "hidden_l1", "cell_l0", "cell_l1"])
      #expect(streams.allSatisfy { $0["shape"] as? [Int] == [7, 12] })
      let history = try #require(report["history"] as? [String: [String: [Double]]])
      #expect(history["valid"]?["step"] == [4, 8, 12])
      #expect(history["valid"]?["valid_nats_per_token"]?.count == 3)
      #expect(history["train"]?["step"] == [5, 10, 12])
      let best = try #require(report["best_valid_nats_per_token"] as? Double)
      #expect(best == history["valid"]?["valid_nats_per_token"]?.min())
    }

    @Test func aCheckpointIsDescribedInWords() throws {
      let workspace = try Self.makeRun(["model.cell": "gru", "optimizer.name": "sgd", "training.steps": "60"])
      let text = try workspace.succeed(["inspect", "run"]).standardOutput
      for part in [
        "checkpoint, intact", "gru, 2 × 12, embedding 10", "tokens, char", "step 60", "epochs and",
        "rnn.weight_hh_l1", "36 × 12", "r z n", "hidden_l0 7 × 12", "learning_rate: 0.01", "validations",
        "training (the last 8 of 13)", "bits/char", "SHA-256",
      ] {
        #expect(text.contains(part), "\(part) is not in:\n\(text)")
      }
    }

    @Test func aCorpusAndItsShardsAreDescribed() throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 3000, arguments: ["--shards", "2"])
      let report = try workspace.succeed(["inspect", "corpus", "--json"]).jsonObject()
      #expect(report["kind"] as? String == "corpus")
      #expect(report["format_version"] as? Int == 2)
      #expect((report["content_digest"] as? String)?.count == 64)
      #expect(report["digest_ok"] as? Bool == true)
      let splits = try #require(report["splits"] as? [[String: Any]])
      #expect(splits.compactMap { $0["name"] as? String } == ["train", "valid", "test"])
      #expect(splits.compactMap { ($0["shards"] as? [Any])?.count } == [2, 2, 2])
      let tokens = splits.compactMap { $0["tokens"] as? Int }.reduce(0, +)
      #expect(tokens == (try workspace.read("text.txt")).unicodeScalars.count)
      #expect(
        try workspace.succeed(["inspect", "corpus/manifest.h5", "--json"]).standardOutput
          == workspace.succeed(["inspect", "corpus/", "--json"]).standardOutput)

      let shard = try workspace.succeed(["inspect", "corpus/train-00001.h5", "--json"]).jsonObject()
      #expect(shard["kind"] as? String == "shard")
      #expect(shard["digest_ok"] as? Bool == true)
      #expect(shard["split"] as? String == "train" && shard["shard"] as? Int == 1)

      let text = try workspace.succeed(["inspect", "corpus"]).standardOutput
      #expect(text.contains("corpus, intact") && text.contains("train-00001.h5") && text.contains("char"))
      let words = try workspace.succeed(["inspect", "corpus/test-00000.h5"]).standardOutput
      #expect(words.contains("corpus shard, intact") && words.contains("test, shard 0"))
      // A shard without its manifest has its own seal.
      try workspace.copy("corpus/test-00000.h5", to: "alone.h5")
      let alone = try workspace.succeed(["inspect", "alone.h5", "--json"]).jsonObject()
      #expect(alone["digest_ok"] as? Bool == true && alone["listed"] as? Bool == false)
    }
  }
}
