import ArgumentParser
import Checkpoints
import Corpus
import Failures
import Files
import Models
import Training

struct BaselineCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "baseline",
    abstract: "Train an n-gram model on a corpus and measure its loss, the baseline for recurrent models.",
    discussion: """
      Interpolated modified Kneser-Ney smoothing (Chen & Goodman 1998). The text is one stream: <eos> is a token like any \
      other, and contexts reach across it. The loss is that of the same predictions as 'lockstep evaluate' counts.
      """)

  @Argument(help: "Corpus directory.", completion: .directory, transform: PathName.expandingHome)
  var corpus: String

  @Option(help: ArgumentHelp("Tokens of the longest n-gram, 1 to 5.", valueName: "n"))
  var order: Int = 3

  @Option(help: "Split to measure: train, valid or test.")
  var split: Split = .test

  @Option(
    help: ArgumentHelp("Also write the model, for 'lockstep evaluate'.", valueName: "file"), completion: .file(),
    transform: PathName.expandingHome)
  var output: String?

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    guard NGramModel.orders.contains(order) else {
      throw Failure(.usage, "no model of order \(order)", at: "--order", remedy: "give 1 to 5")
    }
    let reader = try CorpusReader(directory: corpus)
    try reader.verify()
    _ = try reader.source(split)
    let model = try train(on: reader)
    for length in model.fallbackLengths {
      StandardErrorLog.logger.info(
        """
        too few counts to estimate discounts of n-grams of \(length) token\(length == 1 ? "" : "s"): they are 0.5, 1 \
        and 1.5
        """)
    }
    if let output { try NGramFile.write(model, reader.vocabulary, to: output) }
    let result = try model.evaluate(on: reader, split, streams: 1)
    try EvaluationReport(
      checkpoint: output, corpus: reader.directory, split, result, order: order
    ).show(json: json)
  }

  private func train(on corpus: CorpusReader) throws -> NGramModel {
    let count = corpus.tokenCount(.train)
    guard count > 0, count < Int(Int32.max) else {
      throw Failure(
        .badData, "a train split of \(count) tokens can't be counted", at: corpus.directory,
        remedy: "prepare a corpus with 1 to 2,147,483,646 training tokens")
    }
    var tokens = [Int32](repeating: 0, count: count)
    try tokens.withUnsafeMutableBufferPointer { try corpus.read(.train, 0..<count, into: $0) }
    return try NGramModel(training: tokens, order: order, vocabularySize: corpus.vocabulary.count)
  }
}
