import Configuration
import Corpus
import Failures
import Foundation
import Interfaces
import Kernels
import Layers
import Logging
import Models
import Training
import Workers

/// A directory with a small corpus that all workers train on. The parameters of its model fill four norm blocks, so that
/// four workers own one each.
struct TrainingBench: Sendable {
  let path: String
  let task: TaskName

  func configuration(run: String, _ overrides: [String]) throws -> RunConfiguration {
    let yaml = """
      task: \(task.rawValue)
      model: {cell: lstm, layers: 2, hidden_size: 64, embedding_size: 48, dropout: 0.3, initial_range: 0.2}
      data: {corpus: \(path)/corpus, \(task == .tagging ? "batch: 6" : "streams: 6, window: 10")}
      optimizer: {name: adam, learning_rate: 0.005}
      training: {epochs: 2, clip_norm: 1.0, gradient_shards: 5, checkpoint_every: 11}
      run: {directory: \(path)/\(run), keep: 100}
      """
    return try RunConfiguration(yaml: yaml, source: "scenario.yaml", overrides: overrides)
  }

  func trainer(
    _ workers: any WorkerGroup, run: String, _ overrides: [String] = [], resume: String? = nil,
    arithmetic: Arithmetic = .best
  ) throws -> Trainer {
    let logger = Logger(label: "scenario") { _ in SwiftLogNoOpLogHandler() }
    return try Trainer(
      workers, configuration: configuration(run: run, overrides), resume: resume, arithmetic: arithmetic, logger: logger
    )
  }

  func train(
    _ workers: any WorkerGroup, run: String, _ overrides: [String] = [], resume: String? = nil,
    arithmetic: Arithmetic = .best,
    harm: ((Trainer, _ rank: Int) -> (Int, any GradientModel) -> Void)? = nil
  ) throws -> Trainer.Summary {
    let trainer = try trainer(workers, run: run, overrides, resume: resume, arithmetic: arithmetic)
    trainer.didPass = harm?(trainer, workers.rank)
    return try trainer.run()
  }

  func checkpoint(_ run: String, step: Int) -> String {
    let digits = String(step)
    return "\(path)/\(run)/checkpoints/step-\(String(repeating: "0", count: 10 - digits.count))\(digits).h5"
  }

  /// Flips bits of the tokens in the last of three shards, which only the last worker of several reads from.
  func tearLastShard() throws {
    let shard = URL(fileURLWithPath: "\(path)/corpus/train-00002.h5")
    var bytes = try Data(contentsOf: shard)
    for index in bytes.count - 200..<bytes.count { bytes[index] ^= 0x5A }
    try bytes.write(to: shard)
  }

  /// 1006 tokens for training: six streams in windows of 10 end unevenly.
  func prepareCorpus() throws {
    var texts: [String] = []
    for (seed, count) in [1006, 307, 203].enumerated() {
      var random = RandomStream(seed: UInt64(seed), stream: 7)
      let alphabet = Array("abcdefghij .\n".utf8)
      let drawn = (0..<count - alphabet.count).map { _ in alphabet[Int(random.nextUnit() * Double(alphabet.count))] }
      texts.append("\(path)/\(seed).txt")
      try Data(alphabet + drawn).write(to: URL(fileURLWithPath: texts[seed]))
    }
    let recipe = try CorpusRecipe(
      texts: [texts[0]], splitting: .files(valid: [texts[1]], test: [texts[2]]), tokenizer: .char, shards: 3,
      output: "\(path)/corpus")
    _ = try CorpusBuilder(recipe).run()
  }

  /// 45 sentences for training: in batches of six the last has three, fewer than there are gradient shards.
  func prepareLabelledCorpus() throws {
    var texts: [String] = []
    for (seed, count) in [45, 13, 9].enumerated() {
      var random = RandomStream(seed: UInt64(seed), stream: 7)
      let sentences = (0..<count).map { sentence in
        let length = sentence == 0 ? 9 : 1 + Int(random.nextUnit() * 9)
        return (0..<length).map { "w\(Int(random.nextUnit() * 40))\tL\($0 % 3)\n" }.joined()
      }
      texts.append("\(path)/\(seed).tsv")
      try Data(sentences.joined(separator: "\n").utf8).write(to: URL(fileURLWithPath: texts[seed]))
    }
    let recipe = try LabelledRecipe(
      texts: [texts[0]], splitting: .files(valid: [texts[1]], test: [texts[2]]), shards: 3, output: "\(path)/corpus")
    _ = try LabelledCorpusBuilder(recipe).run()
  }
}

/// Runs `body` on a bench that the first worker makes, and removes again where the scenario ends well or by agreement.
func withBench(
  _ workers: any WorkerGroup, task: TaskName = .languageModel, _ body: (TrainingBench) throws -> Void
) throws {
  // All workers are on one machine; the name is the first one's.
  var identifier = UUID().uuid
  try withUnsafeMutableBytes(of: &identifier) { try workers.broadcast($0, from: 0) }
  let bench = TrainingBench(
    path: NSTemporaryDirectory() + "lockstep-scenario-\(UUID(uuid: identifier).uuidString)", task: task)
  defer { if workers.rank == 0 { try? FileManager.default.removeItem(atPath: bench.path) } }
  try workers.agreeing {
    guard workers.rank == 0 else { return }
    try FileManager.default.createDirectory(atPath: bench.path, withIntermediateDirectories: false)
    switch task {
    case .languageModel: try bench.prepareCorpus()
    case .tagging: try bench.prepareLabelledCorpus()
    }
  }
  try body(bench)
  try workers.barrier()
}
