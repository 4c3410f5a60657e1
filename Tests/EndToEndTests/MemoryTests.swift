import Foundation
import TestSupport
import Testing

extension EndToEndTests {
  /// The memory that a run needs is known before it starts, and follows the data.
  @Suite struct MemoryTests {
    struct Size: Sendable, CustomTestStringConvertible {
      let testDescription: String
      var vocabulary: Int
      var changes: [String: String?]
    }

    private static func size(
      _ name: String, layers: Int, hidden: Int, vocabulary: Int, streams: Int, window: Int,
      _ changes: [String: String?] = [:]
    ) -> Size {
      let measures: [String: String?] = [
        "model.layers": "\(layers)", "model.hidden_size": "\(hidden)", "model.embedding_size": "\(hidden)",
        "data.streams": "\(streams)", "data.window": "\(window)", "training.gradient_shards": "8",
        "optimizer.name": "sgd", "training.steps": "2",
      ]
      return Size(
        testDescription: name, vocabulary: vocabulary, changes: measures.merging(changes) { $1 })
    }

    private static let sizes = [
      size("S", layers: 2, hidden: 200, vocabulary: 10_000, streams: 20, window: 20),
      size("M", layers: 2, hidden: 650, vocabulary: 10_000, streams: 20, window: 35),
      size("C", layers: 3, hidden: 512, vocabulary: 128, streams: 64, window: 64),
      size("a large vocabulary", layers: 1, hidden: 128, vocabulary: 150_000, streams: 20, window: 35),
      size(
        "S, Adam, tied, dropout", layers: 2, hidden: 200, vocabulary: 10_000, streams: 20, window: 20,
        ["optimizer.name": "adam", "model.tie_weights": "true", "model.dropout": "0.3"]),
      size(
        "C, bf16, GRU", layers: 3, hidden: 512, vocabulary: 128, streams: 64, window: 64,
        ["training.precision": "bf16", "model.cell": "gru"]),
    ]

    /// bf16 needs instructions that not every processor has.
    private static let runnable: [Size] = {
      let hasBFloat16 = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.contains("avx512_bf16") == true
      return sizes.filter { hasBFloat16 || $0.changes["training.precision"] == nil }
    }()

    @Test(arguments: runnable) func theFigureIsWhatTheRunTakes(_ size: Size) throws {
      let workspace = try Workspace()
      try Self.prepare(workspace, vocabulary: size.vocabulary)
      try workspace.configure(size.changes)
      let outcome = try workspace.succeed(["train", "run.yaml"])
      let figure = try #require(Self.bytes(after: "memory: ", in: outcome.standardError))
      let peak = try #require(Self.bytes(after: "peak memory ", in: outcome.standardOutput))
      #expect(abs(figure - peak) <= max(0.1 * peak, 16 * 1_048_576), "\(figure / 1_048_576) MiB, \(peak / 1_048_576)")
    }

    /// Also where the longest sentence is one of the validation split.
    @Test(arguments: [["model.dropout": "0.3"], ["optimizer.name": "sgd", "model.cell": "gru"]])
    func theFigureIsWhatATaggerTakes(_ changes: [String: String]) throws {
      let workspace = try Workspace()
      for (name, longest) in [("train", 150), ("valid", 300)] {
        let sentences = [longest, 30, 30, 30].map { length in
          (0..<length).map { "w\($0 * length % 9973)\tL\($0 % 5)\n" }.joined()
        }
        try workspace.write(
          Array(repeating: sentences, count: 30).joined().joined(separator: "\n"), to: "\(name).tsv")
      }
      try workspace.succeed([
        "prepare", "train.tsv", "--valid", "valid.tsv", "--task", "tagging", "--output", "corpus",
      ])
      try workspace.configureTagger(
        [
          "model.hidden_size": "256", "model.embedding_size": "200", "data.batch": "64", "training.epochs": "1",
          "training.steps": nil,
        ].merging(changes) { $1 })
      let outcome = try workspace.succeed(["train", "run.yaml"])
      let figure = try #require(Self.bytes(after: "memory: ", in: outcome.standardError))
      let peak = try #require(Self.bytes(after: "peak memory ", in: outcome.standardOutput))
      #expect(abs(figure - peak) <= max(0.1 * peak, 16 * 1_048_576), "\(figure / 1_048_576) MiB, \(peak / 1_048_576)")
    }

    /// Words or characters at random, each of the vocabulary at least once.
    private static func prepare(_ workspace: Workspace, vocabulary: Int) throws {
      let isText = vocabulary > 1000
      var text = ""
      var state: UInt64 = 7
      for position in 0..<max(3 * vocabulary / 2, 60_000) {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let id = position < vocabulary - 3 ? position : Int(state >> 33) % (vocabulary - 3)
        if isText {
          text += "w\(id) "
        } else {
          text.unicodeScalars.append(Unicode.Scalar(UInt32(0x4E00 + id)) ?? "?")
        }
      }
      try workspace.write(text, to: "text.txt")
      try workspace.succeed([
        "prepare", "text.txt", "--output", "corpus", "--tokenizer", isText ? "word" : "char", "--split",
        "0.9,0.05,0.05",
      ])
    }

    /// The number of bytes after `mark`, such as "113.2 MiB".
    private static func bytes(after mark: String, in text: String) -> Double? {
      guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(mark) }) else { return nil }
      let words = line.dropFirst(mark.count).split(whereSeparator: { $0 == " " || $0 == "," })
      let units = ["B": 1.0, "KiB": 1024, "MiB": 1_048_576, "GiB": 1_073_741_824]
      guard words.count >= 2, let number = Double(words[0]), let unit = units[String(words[1])] else { return nil }
      return number * unit
    }

    @Test func aWindowBeyondTheDataTakesNoMemoryAndChangesNoBit() throws {
      let workspace = try Workspace()
      try workspace.prepare()
      // Streams of some 90 tokens; token sums and sparse rows are decided by the window, so neither is near its bound.
      try workspace.configure(["data.streams": "60", "training.gradient_shards": "8", "model.dropout": "0.1"])
      var digests: [String?] = []
      for window in [200, 100_000] {
        let outcome = try workspace.succeed([
          "train", "run.yaml", "--set", "data.window=\(window)", "--set", "run.directory=run-\(window)",
        ])
        digests.append(outcome.weightDigest)
        let peak = try #require(Self.bytes(after: "peak memory ", in: outcome.standardOutput))
        #expect(peak < 100 * 1_048_576, "\(peak / 1_048_576) MiB with window \(window)")
        #expect(try workspace.read("run-\(window)/config.yaml").contains("window: \(window)"))
      }
      #expect(digests[0] != nil && digests[0] == digests[1])
    }

    @Test func whatExceedsTheMemoryIsRefusedWithTheFigure() throws {
      let workspace = try Workspace()
      try workspace.prepare()
      try workspace.configure()
      let message = try workspace.fail(64, ["train", "run.yaml", "--set", "training.memory_limit=1 MiB"], .threads(2))
      #expect(message.contains("training needs") && message.contains("may have 1024.0 KiB"), "\(message)")
      #expect(!workspace.exists("run/checkpoints"))
      try workspace.succeed(["train", "run.yaml", "--set", "training.memory_limit=4 GiB"])
      let checkpoint = ["run", "--corpus", "corpus"]
      #expect(
        try workspace.fail(64, ["evaluate"] + checkpoint + ["--memory-limit", "1 MiB"]).contains("evaluation needs"))
      #expect(try workspace.fail(64, ["generate", "run", "--memory-limit", "1 MiB"]).contains("generation needs"))
    }

    /// The shell's limit on address space: a large model is refused before any of it is allocated.
    @Test func aLimitOfTheShellIsKept() throws {
      let workspace = try Workspace()
      try workspace.prepare()
      try workspace.configure(["model.hidden_size": "2000", "model.embedding_size": "2000"])
      let outcome = try ChildProcess.run(
        "bash", ["-c", "ulimit -v 1500000; exec \"$0\" train run.yaml", ChildProcess.path(of: "lockstep")],
        directory: workspace.path, deadline: .seconds(60))
      #expect(outcome.status == 64, "\(outcome.standardError)")
      #expect(outcome.errorLines.count == 1 && outcome.standardError.contains("what ulimit -v leaves"))
    }

    @Test func prepareStopsAtItsLimit() throws {
      let workspace = try Workspace()
      let words = (0..<400_000).map { "word\($0 &* 2_654_435_761)" }
      try workspace.write(words.joined(separator: " "), to: "text.txt")
      let message = try workspace.fail(
        65, ["prepare", "text.txt", "--output", "corpus", "--tokenizer", "word", "--memory-limit", "20 MiB"])
      #expect(message.contains("different words") && message.contains("20 MiB"), "\(message)")
      #expect(try workspace.names(in: ".") == ["text.txt"])
      try workspace.succeed(["prepare", "text.txt", "--output", "corpus", "--tokenizer", "word"])
    }
  }
}
