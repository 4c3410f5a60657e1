import Checkpoints
import Configuration
import Foundation
import TestSupport
import Testing
import Training

/// What training leaves out at the end of an epoch, and what that is good for.
@Suite struct EpochEndTests {
  private static let alphabet = "abcdefghij .\n"

  /// Tokens that each step of a run trained on.
  private func tokensOfSteps(_ directory: String) throws -> [Int] {
    let tokens = [0] + (try MetricsRow.all(of: directory).filter { $0.loss != nil }.compactMap(\.tokens))
    return zip(tokens, tokens.dropFirst()).map { $1 - $0 }
  }

  /// N + r tokens train as N do, for every remainder r of N by the streams.
  @Test func tokensAfterTheStreamsChangeNoBit() throws {
    let bench = try Workbench()
    func digest(_ tokens: Int) throws -> String {
      try bench.prepare("corpus-\(tokens)", alphabet: Self.alphabet, trainTokens: tokens)
      let corpus = bench.file("corpus-\(tokens)")
      return try train(
        bench.configuration(run: "run-\(tokens)", ["data.corpus=\(corpus)"]), workers: 2)[0].weightDigest
    }
    let even = try digest(1002)
    for tokens in 1003..<1008 { #expect(try digest(tokens) == even, "\(tokens) tokens") }
    #expect(try digest(1008) != even)
  }

  @Test func aShortLastWindowIsDroppedUnlessItIsToBeKept() throws {
    // Streams of 163 tokens: 16 windows of 10 steps, and 3 steps.
    let bench = try Workbench()
    try bench.prepare("short", alphabet: Self.alphabet, trainTokens: 6 * 163 + 2)
    let common = ["data.corpus=\(bench.file("short"))", "training.epochs=2"]
    try train(bench.configuration(run: "drop", common))
    try train(bench.configuration(run: "keep", common + ["data.last_window=keep"]))
    #expect(try tokensOfSteps(bench.file("drop")) == Array(repeating: 60, count: 32))
    let kept = Array(repeating: 60, count: 16) + [17]
    #expect(try tokensOfSteps(bench.file("keep")) == kept + kept)
    // Which of the two it was is part of the run.
    expectFailure(.usage, "data.last_window (drop in the checkpoint, keep now)") {
      try train(bench.configuration(run: "drop", common + ["data.last_window=keep"]), resume: "latest")
    }
  }

  /// The last step before a validation trains on as many tokens as the others, so it moves the model no further: with
  /// tokens left over, validations are those of a text without them.
  @Test func validationsDoNotSufferFromTokensLeftOver() throws {
    let bench = try Workbench()
    func losses(_ name: String, trainTokens: Int) throws -> [Double] {
      try bench.prepare(name, alphabet: Self.alphabet, trainTokens: trainTokens)
      let options = [
        "data.corpus=\(bench.file(name))", "data.streams=50", "data.window=10", "training.epochs=5",
        "model.layers=1", "model.hidden_size=32", "model.dropout=0", "optimizer.name=rmsprop",
        "optimizer.learning_rate=0.01", "training.clip_norm=0",
      ]
      try train(bench.configuration(run: "run-\(name)", options), workers: 2)
      return try MetricsRow.all(of: bench.file("run-\(name)")).compactMap(\.validNatsPerToken)
    }
    // 50 streams of 200 tokens, and 39 more: as many windows, whatever is left over.
    let (even, uneven) = try (losses("even", trainTokens: 10_000), losses("uneven", trainTokens: 10_039))
    #expect(even.count == 5)
    #expect(uneven == even)
    // With something to learn, each validation is better than the one before.
    #expect(zip(even, even.dropFirst()).allSatisfy { $0 > $1 }, "\(even)")
  }
}
