import Checkpoints
import Configuration
import Corpus
import Foundation
import Kernels
import TestSupport
import Testing
import Training

/// Runs of taggers keep the promises of language models' runs.
@Suite struct TaggerTrainingTests {
  private let bench: Workbench

  init() throws {
    bench = try Workbench()
    try bench.prepareLabelled("sentences")
  }

  /// Batches of one epoch.
  private static let batches = 8

  private static let models: [[String]] = [
    ["model.cell=lstm"], ["model.cell=gru", "optimizer.name=sgd", "optimizer.momentum=0.9"],
    ["model.cell=elman", "model.bidirectional=false", "optimizer.name=rmsprop"],
    // The embedding's rows travel one by one.
    ["data.batch=5", "optimizer.name=adagrad", "optimizer.learning_rate=0.1"],
  ]

  @Test(arguments: models, Arithmetic.available)
  func anyNumberOfWorkersGivesTheSameRun(overrides: [String], arithmetic: Arithmetic) throws {
    try expectTheSameRun(overrides, arithmetic)
  }

  @Test(.enabled(if: Arithmetic.best.computes(in: .bf16), "this processor has no bf16 instructions"))
  func anyNumberOfWorkersGivesTheSameRunInBF16() throws {
    try expectTheSameRun(["training.precision=bf16"], .best)
  }

  private func expectTheSameRun(_ overrides: [String], _ arithmetic: Arithmetic) throws {
    let overrides = overrides + ["training.validate_every=5", "training.checkpoint_every=7"]
    func run(workers: Int) throws -> (digest: String, middle: CheckpointContent, metrics: [MetricsRow]) {
      let summaries = try train(
        bench.taggerConfiguration(run: "run-\(workers)", overrides), workers: workers, arithmetic: arithmetic)
      #expect(Set(summaries.map(\.weightDigest)).count == 1)
      let directory = bench.file("run-\(workers)")
      return (
        summaries[0].weightDigest, try CheckpointContent(checkpoint(directory, step: 14)),
        try MetricsRow.all(of: directory)
      )
    }
    let alone = try run(workers: 1)
    let accuracies = alone.metrics.compactMap(\.validAccuracy)
    #expect(accuracies.count >= 5 && Set(accuracies).count > 1)
    for workers in 2...5 {
      let several = try run(workers: workers)
      #expect(several.digest == alone.digest, "\(workers) workers")
      #expect(several.middle == alone.middle, "\(workers) workers")
      #expect(several.metrics == alone.metrics, "\(workers) workers")
    }
  }

  @Test func aTaggerLearns() throws {
    let options = ["training.epochs=25", "model.dropout=0", "optimizer.learning_rate=0.03"]
    try train(bench.taggerConfiguration(options), workers: 2)
    let accuracies = try MetricsRow.all(of: bench.file("run")).compactMap(\.validAccuracy)
    let (first, best) = (try #require(accuracies.first), try #require(accuracies.max()))
    // A label follows from a word and the next one; a word alone tells it in a third of the cases.
    #expect(first < 0.6 && best > 0.7, "\(accuracies)")
  }

  @Test func aRunIsResumedInTheMiddleOfAnEpoch() throws {
    let whole = try train(bench.taggerConfiguration(run: "whole", ["training.checkpoint_every=3"]), workers: 2)[0]
    let last = 3 * Self.batches
    let expected = try CheckpointContent(checkpoint(bench.file("whole"), step: last))
    for (start, workers) in [(3, 1), (9, 3), (8, 2), (21, 5)] {
      let summary = try train(
        bench.taggerConfiguration(run: "from-\(start)", ["training.checkpoint_every=3"]), workers: workers,
        resume: checkpoint(bench.file("whole"), step: start))[0]
      #expect(summary.weightDigest == whole.weightDigest, "from step \(start)")
      #expect(try CheckpointContent(checkpoint(bench.file("from-\(start)"), step: last)) == expected)
    }
  }

  /// Each token is a target once in an epoch, whatever the lengths.
  @Test func anEpochHasEachTokenOnce() throws {
    let summary = try train(bench.taggerConfiguration(), workers: 3)[0]
    let reader = try String(contentsOfFile: bench.file("sentences-0.tsv"), encoding: .utf8)
    let tokens = reader.split(separator: "\n").count
    #expect(summary.position == TrainingPosition(step: 3 * Self.batches, epoch: 3, window: 0, tokens: 3 * tokens))
  }

  /// What the seed decides: initial weights, the order of batches, dropout.
  @Test func seedAndDropoutMatter() throws {
    let variants = [[], ["model.dropout=0"], ["training.seed=2"]]
    let digests = try variants.enumerated().map { index, overrides in
      try train(bench.taggerConfiguration(run: "run-\(index)", overrides + ["training.steps=2"]))[0].weightDigest
    }
    #expect(Set(digests).count == 3)
  }

  @Test func allreduceTrainsATagger() throws {
    let tree = try train(bench.taggerConfiguration(run: "tree"))[0]
    let summaries = try train(
      bench.taggerConfiguration(run: "allreduce", ["training.exchange=allreduce"]), workers: 3)
    let (expected, found) = (try #require(tree.validation), try #require(summaries[0].validation))
    #expect(abs(expected.natsPerToken - found.natsPerToken) < 2e-3)
  }

  @Test func aCorpusOfAnotherTaskIsRefused() throws {
    for workers in [1, 2] {
      expectFailure(.badData, bench.corpus, "is a corpus for language_model, not for tagging") {
        try train(bench.taggerConfiguration(["data.corpus=\(bench.corpus)"]), workers: workers)
      }
      expectFailure(.badData, bench.file("sentences"), "is a corpus for tagging, not for language_model") {
        try train(bench.configuration(["data.corpus=\(bench.file("sentences"))"]), workers: workers)
      }
    }
    #expect(!FileManager.default.fileExists(atPath: bench.file("run")))
  }

  @Test func aCheckpointOfAnotherTaskIsRefused() throws {
    try train(bench.taggerConfiguration(run: "tagger", ["training.steps=1"]))
    try train(bench.configuration(run: "language", ["training.steps=1"]))
    let (tagger, language) = (
      checkpoint(bench.file("tagger"), step: 1), checkpoint(bench.file("language"), step: 1)
    )
    expectFailure(.usage, "task (language_model in the checkpoint, tagging now)") {
      try train(bench.taggerConfiguration(), resume: language)
    }
    expectFailure(.usage, "task (tagging in the checkpoint, language_model now)") {
      try train(bench.configuration(), resume: tagger)
    }
  }

  @Test func otherLabelsAreRefused() throws {
    try train(bench.taggerConfiguration(["training.steps=1"]))
    let text = try String(contentsOfFile: bench.file("sentences-0.tsv"), encoding: .utf8)
    let path = bench.file("renamed.tsv")
    try text.replacing("\tL2", with: "\tL9").write(toFile: path, atomically: true, encoding: .utf8)
    let recipe = try LabelledRecipe(
      texts: [path], splitting: CorpusRecipe.Splitting(fractions: "1,0,0", valid: [], test: []),
      output: bench.file("renamed"))
    _ = try LabelledCorpusBuilder(recipe).run()
    expectFailure(.badData, "other labels", "'L2' against 'L9'") {
      try train(
        bench.taggerConfiguration(run: "other", ["data.corpus=\(bench.file("renamed"))"]),
        resume: checkpoint(bench.file("run"), step: 1))
    }
    let corpus = "data.corpus=\(bench.file("renamed"))"
    expectFailure(.badData, "other labels", "'L2' against 'L9'") {
      try train(
        bench.taggerConfiguration(run: "other", [corpus, "model.initial_parameters=\(bench.file("run"))"]), workers: 2)
    }
    // Those of the model itself are taken.
    try train(
      bench.taggerConfiguration(
        run: "again", ["training.steps=1", "model.initial_parameters=\(bench.file("run"))"]))
  }

  @Test(arguments: [
    ("data.streams=4", "data.streams"), ("data.window=4", "data.window"),
    ("training.loss_reduction=window_sum", "training.loss_reduction"), ("model.tie_weights=true", "model.tie_weights"),
  ])
  func whatATaggerHasNoUseForIsRefused(override: String, key: String) throws {
    expectFailure(.usage, key, "tagging") { try bench.taggerConfiguration([override]) }
  }
}
