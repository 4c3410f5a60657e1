import Checkpoints
import Configuration
import Corpus
import Foundation
import Interfaces
import Kernels
import Layers
import Models
import Parameters
import Sharding
import TestSupport
import Testing

extension EndToEndTests {
  /// A checkpoint's weights mean the same to PyTorch: names, shapes, gate order, biases.
  @Suite(.enabled(if: Python.hasTorch, Python.needsTorch))
  struct PyTorchTests {
    private struct Expected: Encodable {
      let cell: String
      let activation: String
      let tokens: [Int32]
      var logits: [[Float]] = []
    }

    @Test(arguments: ["lstm", "gru", "elman-tanh", "elman-relu"], [false, true])
    func logitsAgree(_ name: String, tied: Bool) throws {
      let workspace = try Workspace()
      let parts = name.split(separator: "-").map(String.init)
      // Sizes that fill no vector register.
      let architecture = LanguageArchitecture(
        .init(
          cell: try cell(name), vocabularySize: 41, embeddingSize: tied ? 37 : 23, hiddenSize: 37, layers: 2, tied: tied
        ),
        forgetBias: 1)
      let weights = try PackedParameters(architecture.layout, .best, needsBackward: false)
      architecture.initialize(weights.store, .pytorch, seed: 7)
      let tokens = (0..<25).map { Int32($0 * $0 * 7 % 41) }
      var expected = Expected(cell: parts[0], activation: parts.last ?? "", tokens: tokens)
      expected.logits = try logits(architecture, weights, tokens)
      try JSONEncoder().encode(expected).write(to: URL(fileURLWithPath: workspace.file("expected.json")))
      try write(weights, to: workspace.file("model.h5"))

      let said = try run("torch_logits.py", [workspace.file("model.h5"), workspace.file("expected.json")])
      print("\(name)\(tied ? ", tied" : ""): largest difference of a logit \(said)", terminator: "")
    }

    /// Runs a script beside this file, which must succeed; returns what it prints.
    private func run(_ script: String, _ arguments: [String]) throws -> String {
      let path = (#filePath as NSString).deletingLastPathComponent + "/\(script)"
      let outcome = try ChildProcess.run(Python.interpreter, [path] + arguments, deadline: .seconds(120))
      #expect(outcome.status == 0, "\(outcome.standardError)")
      return outcome.standardOutput
    }

    // MARK: Taggers

    private struct ExpectedTags: Encodable {
      let cell: String
      let activation: String
      let sentences: [[Int32]]
      /// Of each token, sentence by sentence.
      var logits: [[[Float]]] = []
    }

    /// A batch of sentences of several lengths, against packed sequences.
    @Test(arguments: ["lstm", "gru", "elman-tanh", "elman-relu"], [false, true])
    func logitsOfTaggersAgree(_ name: String, isBidirectional: Bool) throws {
      let workspace = try Workspace()
      let parts = name.split(separator: "-").map(String.init)
      let architecture = TaggerArchitecture(
        .init(
          cell: try cell(name), vocabularySize: 41, labels: 7, embeddingSize: 23, hiddenSize: 37, layers: 2,
          isBidirectional: isBidirectional), forgetBias: 1)
      let weights = try PackedParameters(architecture.layout, .best, needsBackward: false)
      architecture.initialize(weights.store, .pytorch, seed: 7)
      weights.pack()
      let sentences = [9, 1, 14, 14, 3, 2, 25].map { length in (0..<length).map { Int32($0 * $0 * length % 41) } }
      var expected = ExpectedTags(cell: parts[0], activation: parts.last ?? "", sentences: sentences)
      let plan = BatchPlan(lengths: sentences.map(\.count), sequences: sentences.count, shards: 1)
      let batch = Batch(Sentences(capacity: 25 * sentences.count), units: plan.rowLists(of: 0))
      batch.input.fill(lengths: sentences.map(\.count)) { (sentences[$0][$1], 0) }
      let logits = try TaggerScorer(architecture, weights, plan, rank: 0).logits(batch)
      expected.logits = sentences.enumerated().map { column, sentence in
        sentence.indices.map {
          logits[batch.input.layout.row(step: $0, sequence: batch.input.order.columns[column])]
        }
      }
      try JSONEncoder().encode(expected).write(to: URL(fileURLWithPath: workspace.file("expected.json")))
      try write(weights, to: workspace.file("model.h5"))
      let said = try run("torch_logits.py", [workspace.file("model.h5"), workspace.file("expected.json")])
      print("\(name) tagger: largest difference of a logit \(said)", terminator: "")
    }

    // MARK: Runs

    /// What torch_trajectory.py needs to know of a run.
    private struct Settings: Encodable {
      let run: String
      let corpus: String
      let initial: String
      let task: String
      let cell: String
      let layers: Int
      let bidirectional: Bool
      let streams: Int
      let window: Int
      let optimizer: String
      let learningRate: Double
      let momentum: Double
      let clipNorm: Double
      let epochs: Int

      init(_ workspace: Workspace, _ configuration: RunConfiguration) {
        (run, corpus) = (workspace.file("run"), workspace.file("corpus"))
        initial = workspace.file("initial.h5")
        (task, cell) = (configuration.task.rawValue, configuration.model.cell.rawValue)
        (layers, bidirectional) = (configuration.model.layers, configuration.model.isBidirectional)
        (streams, window) = (configuration.data.streams, configuration.data.window)
        (optimizer, learningRate) = (configuration.optimizer.name.rawValue, configuration.optimizer.learningRate)
        (momentum, clipNorm) = (configuration.optimizer.momentum, configuration.training.clipNorm)
        epochs = configuration.training.epochs ?? 0
      }
    }

    /// Losses and norms of all steps of two epochs, and the validations, of two workers' runs. With windows of 9 steps an
    /// epoch's last window is left out, with 34 it is short.
    @Test(arguments: [
      ["model.cell": "lstm", "data.window": "9"], ["model.cell": "lstm", "data.window": "34"],
      ["model.cell": "gru", "data.window": "9"], ["model.cell": "elman", "data.window": "34"],
      [
        "model.cell": "lstm", "data.window": "34", "optimizer.name": "sgd", "optimizer.learning_rate": "0.5",
        "optimizer.momentum": "0.9", "training.clip_norm": "0.25",
      ],
    ])
    func runsOfLanguageModelsAgree(_ changes: [String: String]) throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 1500)
      let common = ["training.steps": nil, "training.epochs": "2", "model.forget_bias": "1.0"] as [String: String?]
      var changes = common.merging(changes) { $1 }
      if changes["model.cell"] != "lstm" { changes["model.forget_bias"] = .some(nil) }
      try workspace.configure(changes)
      try compareRun(workspace) { configuration, corpus in
        configuration.languageArchitecture(vocabularySize: corpus.vocabulary.count)
      }
    }

    /// One batch per epoch holds all sentences, whatever their order.
    @Test(arguments: ["lstm", "gru", "elman"]) func runsOfTaggersAgree(cell: String) throws {
      let workspace = try Workspace()
      try workspace.prepareSentences()
      try workspace.configureTagger([
        "model.cell": cell, "data.batch": "1000", "training.steps": nil, "training.epochs": "12",
      ])
      try compareRun(workspace) { configuration, corpus in
        configuration.taggerArchitecture(vocabularySize: corpus.vocabulary.count, labels: corpus.labels)
      }
    }

    private func compareRun(
      _ workspace: Workspace, _ makeArchitecture: (RunConfiguration, CorpusReader) -> any Architecture
    ) throws {
      let configuration = try RunConfiguration(contentsOf: workspace.file("run.yaml"))
      let corpus = try CorpusReader(directory: workspace.file("corpus"), for: configuration.task)
      let architecture = makeArchitecture(configuration, corpus)
      let weights = try PackedParameters(architecture.layout, .best, needsBackward: false)
      architecture.initialize(
        weights.store, configuration.initialization, seed: UInt64(configuration.training.seed))
      try write(weights, to: workspace.file("initial.h5"))
      try workspace.succeed(["train", "run.yaml"], .threads(2))
      let encoder = JSONEncoder()
      encoder.keyEncodingStrategy = .convertToSnakeCase
      try encoder.encode(Settings(workspace, configuration)).write(
        to: URL(fileURLWithPath: workspace.file("settings.json")))
      let said = try run("torch_trajectory.py", [workspace.file("settings.json")])
      print("\(configuration.task.rawValue), \(configuration.model.cell.rawValue): \(said)", terminator: "")
    }

    private func cell(_ name: String) throws -> Cell {
      try #require(
        ["lstm": Cell.lstm, "gru": .gru(.after), "elman-tanh": .elman(.tanh), "elman-relu": .elman(.relu)][name])
    }

    /// One token at a time, the state carried over, as generation does it.
    private func logits(
      _ architecture: LanguageArchitecture, _ weights: PackedParameters, _ tokens: [Int32]
    ) throws -> [[Float]] {
      weights.pack()
      let decoder = try LanguageScorer(
        architecture, weights, BatchPlan(window: 1, sequences: 1, shards: 1), rank: 0)
      return try tokens.map { token in
        let logits = try decoder.advance([token])
        return Array(UnsafeBufferPointer(start: logits.pointer, count: logits.columns))
      }
    }

    private func write(_ weights: PackedParameters, to path: String) throws {
      let header = CheckpointHeader(
        step: 0, epoch: 0, window: 0, seed: 7, configuration: "", tokenizer: "byte", vocabulary: [], optimizer: "sgd")
      var writer = try CheckpointWriter(path: path, header: header)
      for parameter in weights.layout.parameters {
        try writer.writeParameter(
          parameter.name, shape: parameter.shape, UnsafeBufferPointer(weights.store[parameter]))
      }
      try writer.close()
    }
  }
}
