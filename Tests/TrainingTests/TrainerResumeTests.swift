import Checkpoints
import Configuration
import Foundation
import TestSupport
import Testing
import Training

/// A resumed run ends as one that was never interrupted, bit for bit.
@Suite struct TrainerResumeTests {
  @Test(arguments: [
    ["optimizer.name=sgd", "optimizer.momentum=0.9", "optimizer.learning_rate=0.5"], ["optimizer.name=adam"],
    ["optimizer.name=rmsprop", "optimizer.learning_rate=0.002"], ["optimizer.name=adagrad"],
  ])
  func resumedRunsEndAsUninterruptedOnes(optimizer: [String]) throws {
    let bench = try Workbench()
    let overrides = optimizer + ["training.checkpoint_every=6", "training.validate_every=5"]
    let whole = bench.file("whole")
    try train(bench.configuration(run: "whole", overrides), workers: 2)
    let last = 2 * windowsPerEpoch
    let expected = try CheckpointContent(checkpoint(whole, step: last))

    // In the middle of each epoch and at the end of the first, on the same number of workers and on others.
    for (start, workers) in [(6, 2), (12, 3), (17, 1), (24, 4)] {
      let name = "from-\(start)"
      let summary = try train(
        bench.configuration(run: name, overrides), workers: workers, resume: checkpoint(whole, step: start))[0]
      #expect(summary.position.step == last)
      #expect(
        try CheckpointContent(checkpoint(bench.file(name), step: last)) == expected, "from step \(start) on \(workers)")
    }
  }

  @Test func aRunThatIsResumedTwiceStillEndsTheSame() throws {
    let bench = try Workbench()
    let whole = try train(bench.configuration(run: "whole"))[0]
    for steps in [3, 7, 20] {
      _ = try train(
        bench.configuration(run: "pieces", ["training.steps=\(steps)"]), workers: 2,
        resume: steps == 3 ? nil : "latest")
    }
    let pieces = try train(bench.configuration(run: "pieces"), resume: "latest")[0]
    #expect(pieces.weightDigest == whole.weightDigest)
    #expect(pieces.position == whole.position)
  }

  @Test func aFinishedRunThatIsResumedStaysAsItIs() throws {
    let bench = try Workbench()
    let configuration = try bench.configuration(["training.epochs=1"])
    let first = try train(configuration)[0]
    let again = try train(configuration, resume: "latest")[0]
    #expect(again.weightDigest == first.weightDigest)
    #expect(again.position == first.position)
  }

  @Test func thePlateauScheduleGoesOn() throws {
    let bench = try Workbench()
    // No validation improves by half, so each one after the first lowers the rate.
    let overrides = [
      "schedule.name=plateau", "schedule.factor=0.5", "schedule.patience=1", "schedule.threshold=0.5",
      "training.validate_every=4", "training.checkpoint_every=4",
    ]
    try train(bench.configuration(run: "whole", overrides))
    try train(bench.configuration(run: "halves", overrides + ["training.steps=12"]))
    try train(bench.configuration(run: "halves", overrides), resume: "latest")
    let rates = try MetricsRow.all(of: bench.file("whole")).compactMap(\.learningRate)
    #expect(try MetricsRow.all(of: bench.file("halves")).compactMap(\.learningRate) == rates)
    // Validations at 4, 8, 12, 16, 17 …: bad ones at 8 and 12, then at 16 and 17.
    #expect(rates[11] == 0.005 && rates[12] == 0.0025 && rates[16] == 0.0025 && rates[17] == 0.00125)
    let state = try CheckpointReader(path: checkpoint(bench.file("halves"), step: 16)).header.scheduleState
    #expect(state["factor"] == 0.5 && state["bad_validations"] == 1)
  }

  @Test func metricsAndHistoryHaveEachStepOnce() throws {
    let bench = try Workbench()
    let overrides = ["training.checkpoint_every=5", "training.validate_every=7", "training.log_every=4"]
    try train(bench.configuration(run: "whole", overrides))
    // Runs on past its last checkpoint and is "killed": what it wrote after that is not to appear twice.
    try train(bench.configuration(run: "broken", overrides + ["training.steps=14"]))
    let broken = bench.file("broken")
    let ten = checkpoint(broken, step: 10)
    let metrics = try #require(FileHandle(forWritingAtPath: "\(broken)/metrics.jsonl"))
    try metrics.seekToEnd()
    try metrics.write(contentsOf: Data("{\"step\":15,\"epo".utf8))
    try metrics.close()
    try train(bench.configuration(run: "broken", overrides), workers: 2, resume: ten)

    let rows = try MetricsRow.all(of: broken)
    #expect(rows == (try MetricsRow.all(of: bench.file("whole"))))
    #expect(rows.filter { $0.loss != nil }.map(\.step) == Array(1...34))
    #expect(rows.filter { $0.loss == nil }.map(\.step) == [7, 14, 17, 21, 28, 34])

    let found = try CheckpointContent(checkpoint(broken, step: 34))
    let expected = try CheckpointContent(checkpoint(bench.file("whole"), step: 34))
    #expect(expected.column("step") == [4, 8, 12, 16, 17, 20, 24, 28, 32, 34])
    #expect(found.train == expected.train)
    #expect(found.valid == expected.valid)
  }

  @Test(arguments: [
    ("model.hidden_size=32", ["model.hidden_size (64 in the checkpoint, 32 now)"]),
    ("data.streams=5", ["data.streams (6 in the checkpoint, 5 now)"]),
    ("data.window=9", ["data.window (10 in the checkpoint, 9 now)"]),
    ("training.gradient_shards=3", ["training.gradient_shards (5 in the checkpoint, 3 now)"]),
    ("training.seed=9", ["training.seed"]),
  ])
  func anotherConfigurationIsRefused(override: String, parts: [String]) throws {
    let bench = try Workbench()
    try train(bench.configuration(["training.steps=2"]))
    for part in parts {
      expectFailure(.usage, "cannot resume under another", part) {
        try train(bench.configuration([override]), workers: 2, resume: "latest")
      }
    }
  }

  @Test func anotherCorpusIsRefused() throws {
    let bench = try Workbench()
    try train(bench.configuration(["training.steps=2"]))
    try bench.prepare("letters", alphabet: "abcdefghijk.\n")
    expectFailure(.badData, "another vocabulary", "letters", "data.corpus") {
      try train(bench.configuration(["data.corpus=\(bench.file("letters"))"]), workers: 2, resume: "latest")
    }
    // The same characters in a text of another length: windows would be others from here on.
    try bench.prepare("longer", alphabet: "abcdefghij .\n", trainTokens: Workbench.trainTokens + 1)
    expectFailure(.badData, "1007", "1006", "data.corpus") {
      try train(bench.configuration(["data.corpus=\(bench.file("longer"))"]), workers: 2, resume: "latest")
    }
    // Another text of that length, in the same characters.
    try bench.prepare("other", alphabet: "abcdefghij .\n", seed: 9)
    expectFailure(.badData, "another text", "other", "data.corpus") {
      try train(bench.configuration(["data.corpus=\(bench.file("other"))"]), workers: 2, resume: "latest")
    }
    // The same text in other shards is the same corpus.
    try bench.prepare("resharded", alphabet: "abcdefghij .\n", shards: 5)
    try train(bench.configuration(["training.steps=3", "data.corpus=\(bench.file("resharded"))"]), resume: "latest")
  }

  @Test func anExistingRunIsRefused() throws {
    let bench = try Workbench()
    let configuration = try bench.configuration(["training.steps=2"])
    try train(configuration)
    let before = try Data(contentsOf: URL(fileURLWithPath: bench.file("run/metrics.jsonl")))
    expectFailure(.cannotWrite, bench.file("run"), "--resume latest") { try train(configuration, workers: 2) }
    #expect(try Data(contentsOf: URL(fileURLWithPath: bench.file("run/metrics.jsonl"))) == before)
  }

  @Test func nothingToResumeIsSaid() throws {
    let bench = try Workbench()
    expectFailure(.badData, "no checkpoint", bench.file("run")) {
      try train(bench.configuration(), workers: 2, resume: "latest")
    }
  }

  @Test func momentumMayBeSwitchedOnAndOff() throws {
    let bench = try Workbench()
    let plain = ["optimizer.name=sgd", "optimizer.learning_rate=0.5"]
    let heavy = plain + ["optimizer.momentum=0.9"]
    for (name, before, after) in [("on", plain, heavy), ("off", heavy, plain)] {
      try train(bench.configuration(run: name, before + ["training.steps=3"]))
      let summary = try train(
        bench.configuration(run: name, after + ["training.steps=6"]), workers: 2,
        resume: "latest")[0]
      #expect(summary.position.step == 6)
    }
  }
}
