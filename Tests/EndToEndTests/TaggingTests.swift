import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// A tagger through the command, from columns to accuracy.
  @Suite struct TaggingTests {
    private struct Figures: Decodable, Equatable {
      let tokens: Int
      let natsPerToken: Double
      let accuracy: Double
    }

    private func figures(_ outcome: ChildProcess.Outcome) throws -> Figures {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      return try decoder.decode(Figures.self, from: Data(outcome.standardOutput.utf8))
    }

    private func trained(_ changes: [String: String?] = [:]) throws -> Workspace {
      let workspace = try Workspace()
      try workspace.prepareSentences()
      try workspace.configureTagger(changes)
      try workspace.succeed(["train", "run.yaml"])
      return workspace
    }

    @Test func aTaggerIsTrainedAndMeasured() throws {
      let workspace = try trained(["training.steps": "150", "optimizer.learning_rate": "0.03"])
      let evaluate = ["evaluate", "run", "--corpus", "corpus", "--split", "valid", "--json"]
      let alone = try figures(workspace.succeed(evaluate))
      // A label follows from the next word, which only the backward direction has read.
      #expect(alone.accuracy > 0.95, "\(alone)")
      #expect(try figures(workspace.succeed(evaluate, .threads(3))) == alone)
      if MPIRun.isAvailable { #expect(try figures(workspace.succeed(evaluate, .ranks(2))) == alone) }
      let shown = try workspace.succeed(["evaluate", "run", "--corpus", "corpus", "--split", "valid"]).standardOutput
      #expect(shown.contains("accuracy"), "\(shown)")

      let forward = try trained([
        "training.steps": "150", "optimizer.learning_rate": "0.03", "model.bidirectional": "false",
      ])
      #expect(try figures(forward.succeed(evaluate)).accuracy < 0.8)
    }

    @Test func corpusAndCheckpointSayWhatTheyAreFor() throws {
      let workspace = try trained()
      let corpus = try workspace.succeed(["inspect", "corpus", "--json"]).jsonObject()
      #expect(corpus["task"] as? String == "tagging")
      #expect(corpus["labels"] as? [String] == ["TAG0", "TAG1", "TAG2"])
      let checkpoint = try workspace.succeed(["inspect", "run", "--json"]).jsonObject()
      let parameters = try #require(checkpoint["parameters"] as? [[String: Any]]).compactMap { $0["name"] as? String }
      #expect(parameters.contains("rnn.weight_hh_l1_reverse"))
      for path in ["corpus", "run"] {
        let shown = try workspace.succeed(["inspect", path]).standardOutput
        #expect(shown.contains("tagging") && shown.contains("3 labels"), "\(shown)")
      }
    }

    @Test(arguments: ["false", "true"]) func anyNumberOfWorkersGivesTheSameBits(crf: String) throws {
      let workspace = try Workspace()
      try workspace.prepareSentences(arguments: ["--shards", "2"])
      // In the middle of the second epoch; batches of 9, of which the last has fewer sentences than there are shards.
      try workspace.configureTagger([
        "training.steps": "11", "model.hidden_size": "40", "model.dropout": "0.3", "data.batch": "9",
        "training.validate_every": "4", "model.crf": crf,
      ])
      try workspace.succeed(["train", "run.yaml", "--set", "run.directory=alone"])
      let alone = try workspace.saved("alone")
      #expect(alone.step == 11 && alone.epoch == 1 && alone.window > 0)
      let ranks = MPIRun.isAvailable ? (2...4).map(Workspace.Workers.ranks) : []
      for (index, workers) in ((2...4).map(Workspace.Workers.threads) + ranks).enumerated() {
        try workspace.succeed(["train", "run.yaml", "--set", "run.directory=run-\(index)"], workers)
        #expect(try workspace.saved("run-\(index)") == alone, "\(workers)")
      }
      let verified = try workspace.succeed(["verify", "run.yaml", "--workers", "1,3"]).standardOutput
      #expect(verified.contains("3 workers: the same bits"))
    }

    @Test(arguments: ["false", "true"]) func linesAreAnswered(crf: String) throws {
      let workspace = try trained(["training.steps": "150", "optimizer.learning_rate": "0.03", "model.crf": crf])
      // More lines than are answered together, the first and an inner one empty, one with a word that is not known.
      let lines = ["", "word1 word2  word3", "nobody word4"] + (0..<100).map { "word\($0 % 12) word\(($0 + 1) % 12)" }
      try workspace.write(lines.joined(separator: "\n"), to: "lines.txt")
      let answers = try workspace.succeed(["predict", "run", "lines.txt"]).standardOutput.split(
        separator: "\n", omittingEmptySubsequences: false)
      #expect(answers.count == lines.count + 1 && answers[lines.count].isEmpty)
      for (line, answer) in zip(lines, answers) {
        #expect(line.split(separator: " ").count == answer.split(separator: " ").count)
      }
      // A label is the next word's number, modulo 3.
      #expect(answers[1].hasPrefix("TAG2 TAG0 "))
      let piped = try workspace.shell("echo word1 word2 word3 | lockstep predict run").standardOutput
      #expect(piped == "\(answers[1])\n")

      struct Answer: Decodable {
        let words: [String]
        let labels: [String]
        let probabilities: [[String: Double]]
      }
      let objects = try workspace.succeed(["predict", "run", "lines.txt", "--json"]).standardOutput.split(
        separator: "\n")
      #expect(objects.count == lines.count)
      for (object, answer) in zip(objects, answers) {
        let found = try JSONDecoder().decode(Answer.self, from: Data(object.utf8))
        #expect(found.labels.joined(separator: " ") == answer)
        #expect(found.probabilities.count == found.words.count)
        for values in found.probabilities {
          #expect(abs(values.values.reduce(0, +) - 1) < 1e-9 && values.count == 3)
        }
      }
      try workspace.write("word1\nword\u{0}2\n", to: "broken.txt")
      #expect(try workspace.fail(65, ["predict", "run", "broken.txt"]).contains("broken.txt:2: "))
      #expect(try workspace.fail(65, ["predict", "run", "missing.txt"]).contains("missing.txt: "))
    }

    @Test func whatIsNotForATaggerIsRefusedInOneLine() throws {
      let workspace = try trained()
      try workspace.write(Workspace.text(characters: 3000), to: "text.txt")
      try workspace.succeed(["prepare", "text.txt", "--output", "text"])
      try workspace.configure(as: "language.yaml")
      #expect(
        try workspace.fail(65, ["generate", "run"]).contains(
          "is a model for tagging, not a language model"))
      #expect(
        try workspace.fail(65, ["train", "run.yaml", "--set", "data.corpus=text", "--set", "run.directory=new"])
          .contains("text: is a corpus for language_model, not for tagging"))
      #expect(
        try workspace.fail(65, ["train", "language.yaml", "--set", "run.directory=new"])
          .contains("corpus: is a corpus for tagging, not for language_model"))
      #expect(
        try workspace.fail(65, ["evaluate", "run", "--corpus", "text"])
          .contains("text: is a corpus for language_model, not for tagging"))
      #expect(
        try workspace.fail(65, ["baseline", "corpus"]).contains(
          "corpus: is a corpus for tagging, not for language_model"))
      #expect(
        try workspace.fail(64, ["evaluate", "run", "--corpus", "corpus", "--streams", "1"]).contains("--streams: "))
      #expect(
        try workspace.fail(
          64, ["prepare", "sentences.tsv", "--task", "tagging", "--tokenizer", "char", "--output", "x"]
        )
        .contains("--tokenizer"))
      #expect(
        try workspace.fail(64, ["prepare", "text.txt", "--columns", "1:2", "--output", "x"]).contains("--columns"))
      #expect(!workspace.exists("new") && !workspace.exists("x"))
    }

    @Test func aLossThatIsNotFiniteIsReported() throws {
      let workspace = try Workspace()
      try workspace.prepareSentences()
      try workspace.configureTagger([
        "optimizer.name": "sgd", "optimizer.learning_rate": "1e38", "training.clip_norm": "0",
      ])
      let message = try workspace.fail(70, ["train", "run.yaml"])
      #expect(message.contains("nonfinite-step-"), "\(message)")
      let report = try #require(try workspace.names(in: "run").first { $0.hasPrefix("nonfinite-step-") })
      let outcome = try workspace.run(["train", "--replay", "run/\(report)"])
      #expect(
        outcome.status == 0 && outcome.standardOutput.contains("the first value that is not finite"),
        "\(outcome.standardError)")
    }

    /// Corpora of published data, read in place where they are.
    @Test(
      .enabled(if: Workspace.sharedData != nil, "there is no folder of labelled data; LOCKSTEP_DATA names one"),
      arguments: [
        ("pos_en_ewt", [12_544, 2001, 2077], [204_577, 25_147, 25_094], 17),
        ("ner_wnut17", [3394, 1009, 1287], [62_730, 15_733, 23_394], 13),
      ])
    func publishedDataHasItsPublishedCounts(name: String, sentences: [Int], tokens: [Int], labels: Int) throws {
      let workspace = try Workspace()
      let folder = try #require(Workspace.sharedData) + "/tasks/\(name)"
      let files = try FileManager.default.contentsOfDirectory(atPath: folder)
      func path(_ part: String) throws -> String { "\(folder)/\(try #require(files.first { $0.contains(part) }))" }
      try workspace.succeed([
        "prepare", path("train"), "--valid", path("dev"), "--test", path("test"), "--task", "tagging", "--output",
        "corpus",
      ])
      let corpus = try workspace.succeed(["inspect", "corpus", "--json"]).jsonObject()
      let splits = try #require(corpus["splits"] as? [[String: Any]])
      #expect(splits.map { $0["name"] as? String } == ["train", "valid", "test"])
      #expect(splits.map { $0["tokens"] as? Int } == tokens)
      #expect(splits.map { $0["sequences"] as? Int } == sentences)
      #expect((corpus["labels"] as? [String])?.count == labels)
    }
  }
}
