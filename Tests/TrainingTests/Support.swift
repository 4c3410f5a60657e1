import Configuration
import Corpus
import Failures
import Foundation
import Interfaces
import Kernels
import Logging
import Parameters
import TestSupport
import Testing
import Training
import Workers

/// A directory with a small character corpus, for the runs of one test; removed with its owner.
final class Workbench: Sendable {
  private let directory: TemporaryDirectory
  var path: String { directory.path }
  /// Tokens of the train split: with 6 streams in windows of 10 steps the streams end unevenly.
  static let trainTokens = 1006
  static let validTokens = 307
  static let testTokens = 203

  init(alphabet: String = "abcdefghij .\n", shards: Int = 2) throws {
    directory = try TemporaryDirectory()
    try prepare("corpus", alphabet: alphabet, shards: shards)
  }

  var corpus: String { file("corpus") }

  func file(_ name: String) -> String { directory.file(name) }

  func prepare(
    _ name: String, alphabet: String, trainTokens: Int = trainTokens, tokenizer: Tokenizer = .char, shards: Int = 1,
    seed: UInt64 = 0
  ) throws {
    var texts: [String] = []
    for (index, count) in [trainTokens, Self.validTokens, Self.testTokens].enumerated() {
      let text = file("\(name)-\(index).txt")
      try randomText(count, alphabet, seed: seed + UInt64(index)).write(toFile: text, atomically: true, encoding: .utf8)
      texts.append(text)
    }
    let recipe = try CorpusRecipe(
      texts: [texts[0]], splitting: .files(valid: [texts[1]], test: [texts[2]]), tokenizer: tokenizer, shards: shards,
      output: file(name))
    _ = try CorpusBuilder(recipe).run()
  }

  /// Prepares labelled sentences of one to `longest` words. A word's label follows from it and the next word, so that
  /// there is something to learn in both directions.
  func prepareLabelled(_ name: String, sentences: [Int] = [45, 13, 9], longest: Int = 11, seed: UInt64 = 0) throws {
    var texts: [String] = []
    for (index, count) in sentences.enumerated() {
      let text = file("\(name)-\(index).tsv")
      try Self.labelledText(sentences: count, longest: longest, seed: seed + UInt64(index))
        .write(toFile: text, atomically: true, encoding: .utf8)
      texts.append(text)
    }
    let recipe = try LabelledRecipe(
      texts: [texts[0]], splitting: .files(valid: [texts[1]], test: [texts[2]]), shards: 2, output: file(name))
    _ = try LabelledCorpusBuilder(recipe).run()
  }

  private static func labelledText(sentences: Int, longest: Int, seed: UInt64) -> String {
    var random = RandomStream(seed: seed, stream: 8)
    func draw(_ bound: Int) -> Int { Int(random.nextUnit() * Double(bound)) }
    // Every label is in the first sentence.
    return ([Array(0..<17)] + (1..<sentences).map { _ in (0...draw(longest)).map { _ in draw(17) } }).map { words in
      zip(words, words.dropFirst() + [0]).map { "w\($0)\tL\(($0 + $1) % 3)\n" }.joined()
    }.joined(separator: "\n")
  }

  /// A tagger over the labelled corpus `sentences`: 45 of them in batches of 6, the last with 3 for 5 shards.
  func taggerConfiguration(run: String = "run", _ overrides: [String] = []) throws -> RunConfiguration {
    let yaml = """
      task: tagging
      model: {cell: lstm, layers: 2, hidden_size: 40, embedding_size: 24, bidirectional: true, dropout: 0.3,
              initial_range: 0.2}
      data: {corpus: \(file("sentences")), batch: 6}
      optimizer: {name: adam, learning_rate: 0.01}
      training: {epochs: 3, clip_norm: 1.0, gradient_shards: 5, log_every: 4}
      run: {directory: \(file(run)), keep: 100}
      """
    return try RunConfiguration(yaml: yaml, source: "test.yaml", overrides: overrides)
  }

  /// A configuration over the corpus. The parameters fill four norm blocks, so that four workers own one each.
  func configuration(run: String = "run", _ overrides: [String] = []) throws -> RunConfiguration {
    let yaml = """
      model: {cell: lstm, layers: 2, hidden_size: 64, embedding_size: 48, dropout: 0.3, initial_range: 0.2}
      data: {corpus: \(corpus), streams: 6, window: 10}
      optimizer: {name: adam, learning_rate: 0.005}
      training: {epochs: 2, clip_norm: 1.0, gradient_shards: 5, log_every: 4}
      run: {directory: \(file(run)), keep: 100}
      """
    return try RunConfiguration(yaml: yaml, source: "test.yaml", overrides: overrides)
  }
}

/// Windows of one epoch of the workbench's train split.
let windowsPerEpoch = 17

/// Text that has something to learn: each character depends on the one before. Every character of the alphabet occurs.
func randomText(_ count: Int, _ alphabet: String, seed: UInt64) -> String {
  let characters = Array(alphabet)
  var random = RandomStream(seed: seed, stream: 7)
  var index = 0
  return String(
    (0..<count).map { position in
      if position < characters.count { return characters[position] }
      index = (index * 5 + 3 + Int(random.nextUnit() * 3)) % characters.count
      return characters[index]
    })
}

let silentLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Trains on `workers` threads; what each of them returned.
@discardableResult
func train(
  _ configuration: RunConfiguration, workers: Int = 1, resume: String? = nil, arithmetic: Arithmetic = .best
) throws -> [Trainer.Summary] {
  try onWorkers(workers) { group in
    try Trainer(group, configuration: configuration, resume: resume, arithmetic: arithmetic, logger: silentLogger).run()
  }
}

extension GradientModel {
  /// The dense gradient of a parameter in one of the worker's subtrees.
  func gradient(_ name: String, subtree: Int = 0) -> MatrixView {
    guard let addend = addends.firstIndex(where: { $0.parameter.name == name && $0.rows == .all }) else {
      preconditionFailure("no dense gradient of \(name)")
    }
    return gradients[subtree].matrix(addend)
  }
}

extension PackedParameters {
  func floats(named name: String) -> UnsafeMutableBufferPointer<Float> {
    guard let parameter = layout[name] else { preconditionFailure("no parameter \(name)") }
    return store[parameter]
  }
}
