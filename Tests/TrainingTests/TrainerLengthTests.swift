import Checkpoints
import Configuration
import Foundation
import Models
import Parameters
import TestSupport
import Testing
import Training

/// How long a run is, what a step weighs, and what a run leaves behind when.
@Suite struct TrainerLengthTests {
  @Test func anEpochTrainsOnWholeStreams() throws {
    let bench = try Workbench()
    let summary = try train(bench.configuration(["training.epochs=3"]), workers: 3)[0]
    #expect(
      summary.position == TrainingPosition(step: 51, epoch: 3, window: 0, tokens: 3 * 1001))
    let rows = try MetricsRow.all(of: bench.file("run")).filter { $0.loss != nil }
    let tokens = [0] + rows.compactMap(\.tokens)
    let perStep = zip(tokens, tokens.dropFirst()).map { $1 - $0 }
    // Six streams of 167 tokens; 4 tokens are left over, and the last of the last stream has no target.
    let epoch = Array(repeating: 60, count: 16) + [6 * 7 - 1]
    #expect(perStep == epoch + epoch + epoch)
    #expect(rows.map(\.epoch) == (0..<51).map { $0 / 17 + 1 })
    #expect(
      try CheckpointReader(path: checkpoint(bench.file("run"), step: 17)).streamPositions() == [
        0, 167, 334, 501, 668, 835,
      ])
  }

  @Test func stepsMayEndWithinAnEpoch() throws {
    let bench = try Workbench()
    let summary = try train(bench.configuration(["training.steps=20"]))[0]
    #expect(summary.position == TrainingPosition(step: 20, epoch: 1, window: 3, tokens: 1001 + 180))
    // The end is validated and kept wherever it falls.
    let rows = try MetricsRow.all(of: bench.file("run"))
    #expect(rows.filter { $0.loss == nil }.map(\.step) == [17, 20])
    let end = try CheckpointReader(path: CheckpointStore.resolve("latest", in: bench.file("run")))
    #expect(end.header.step == 20)
    #expect(try end.streamPositions() == (0..<6).map { Int64($0 * 167 + 30) })
  }

  /// The sum over a window's steps, mean over its streams, is the token mean times tokens / streams.
  @Test func lossReductionsDifferByTheStepsOfAWindow() throws {
    let bench = try Workbench()
    // Two windows an epoch: of 100 and of 67 steps.
    let common = [
      "optimizer.name=sgd", "training.clip_norm=0", "data.window=100", "training.steps=2", "model.dropout=0",
    ]
    // Rates so small that the second step starts from the same weights.
    let mean = common + ["optimizer.learning_rate=1e-6"]
    let sum = mean + ["training.loss_reduction=window_sum"]
    try train(bench.configuration(run: "mean", mean))
    try train(bench.configuration(run: "sum", sum), workers: 2)
    let (meanRows, sumRows) = try (MetricsRow.all(of: bench.file("mean")), MetricsRow.all(of: bench.file("sum")))
    let tokens: [Double] = [600, 401]
    for step in 0..<2 {
      let ratio = try #require(sumRows[step].gradientNorm) / #require(meanRows[step].gradientNorm)
      #expect(abs(ratio / (tokens[step] / 6) - 1) < 1e-4, "step \(step + 1): \(ratio)")
      // The loss that is shown is per token either way.
      #expect(abs(try #require(sumRows[step].loss) - #require(meanRows[step].loss)) < 1e-4)
    }
  }

  @Test func clippingLimitsTheUpdateByTheGlobalNorm() throws {
    let bench = try Workbench()
    let options = ["optimizer.name=sgd", "optimizer.learning_rate=1", "training.steps=1", "training.clip_norm=0.01"]
    let configuration = try bench.configuration(options)
    try train(configuration, workers: 2)
    let architecture = configuration.languageArchitecture(vocabularySize: 13)
    let (before, after) = (try ParameterStore(architecture.layout), try ParameterStore(architecture.layout))
    try configuration.initialize(before, architecture)
    try CheckpointReader(path: checkpoint(bench.file("run"), step: 1)).readParameters(into: after)
    let moved = zip(before.values.buffer, after.values.buffer).reduce(0.0) {
      $0 + Double(($1.1 - $1.0) * ($1.1 - $1.0))
    }
    #expect(abs(moved.squareRoot() / 0.01 - 1) < 1e-3)
    #expect(try #require(MetricsRow.all(of: bench.file("run"))[0].gradientNorm) > 0.01)
  }

  @Test func initialParametersAreTheStart() throws {
    let bench = try Workbench()
    try train(bench.configuration(run: "first", ["training.steps=3"]))
    let file = checkpoint(bench.file("first"), step: 3)
    // Another seed, which must not matter for the weights: nothing moves at a rate of next to nothing.
    let options = [
      "model.initial_parameters=\(file)", "training.seed=5", "optimizer.name=sgd", "optimizer.learning_rate=1e-30",
      "training.steps=1",
    ]
    for workers in [1, 3] {
      let name = "second-\(workers)"
      try train(bench.configuration(run: name, options), workers: workers)
      let (first, second) = (try CheckpointContent(file), try CheckpointContent(checkpoint(bench.file(name), step: 1)))
      for (name, values) in second.tensors where !name.contains("_l") || name.hasPrefix("rnn.") {
        #expect(first.tensors[name] == values, "\(name)")
      }
    }
  }

  @Test func missingOrMisshapenInitialParametersAreRefused() throws {
    let bench = try Workbench()
    expectFailure(.badData, bench.file("none.h5")) {
      try train(bench.configuration(["model.initial_parameters=\(bench.file("none.h5"))"]), workers: 2)
    }
    try train(bench.configuration(run: "first", ["training.steps=1"]))
    let file = checkpoint(bench.file("first"), step: 1)
    expectFailure(.badData, file, "rnn.weight_ih_l0") {
      try train(bench.configuration(["model.initial_parameters=\(file)", "model.hidden_size=32"]), workers: 2)
    }
  }

  @Test func oldCheckpointsGoAndTheBestStays() throws {
    let bench = try Workbench()
    // Training that makes the model worse: the first validation stays the best one.
    let options = [
      "optimizer.name=sgd", "optimizer.learning_rate=0.3", "schedule.name=step_decay", "schedule.factor=1",
      "training.validate_every=5", "training.checkpoint_every=3", "training.clip_norm=1", "run.keep=2",
    ]
    try train(bench.configuration(options), workers: 2)
    let run = bench.file("run")
    let names = try FileManager.default.contentsOfDirectory(atPath: "\(run)/checkpoints").sorted()
    let validations = try MetricsRow.all(of: run).filter { $0.loss == nil }
    #expect(validations.map(\.step) == [5, 10, 15, 17, 20, 25, 30, 34])
    let best = try #require(
      validations.min { ($0.validNatsPerToken ?? .infinity) < ($1.validNatsPerToken ?? .infinity) })
    let expected = Set([33, 34, best.step].map { checkpoint(run, step: $0) })
    #expect(Set(names.map { "\(run)/checkpoints/\($0)" }) == expected)
    #expect(try CheckpointStore.resolve("latest", in: run).hasSuffix(names[names.count - 1]))
    let reader = try CheckpointReader(path: CheckpointStore.resolve("best", in: run))
    #expect(reader.header.step == best.step)
    #expect(reader.header.bestValidation == best.validNatsPerToken)
  }

  /// Windows of 60 tokens, and one of 17 at the end of each epoch.
  @Test func progressIsWeighedByTokensAndEndsWithTheEpoch() throws {
    let bench = try Workbench()
    try bench.prepare("uneven", alphabet: "abcdefghij .\n", trainTokens: 6 * 163 + 2)
    let options = [
      "data.corpus=\(bench.file("uneven"))", "data.last_window=keep", "training.log_every=100", "training.epochs=2",
      "optimizer.learning_rate=0.02",
    ]
    let run = bench.file("run")
    try train(bench.configuration(options), workers: 2)
    let rows = try MetricsRow.all(of: run).filter { $0.loss != nil }
    let table = try CheckpointReader(path: checkpoint(run, step: 34)).history().train
    #expect(table["step"] == .integers([17, 34]))
    let tokens = [0] + rows.compactMap(\.tokens)
    let nats = zip(rows, zip(tokens, tokens.dropFirst())).map { ($0.loss ?? .nan) * Double($1.1 - $1.0) }
    for (index, epoch) in [0..<17, 17..<34].enumerated() {
      let mean = nats[epoch].reduce(0, +) / Double(16 * 60 + 17)
      #expect(abs(try #require(table["loss"])[index] - mean) < 1e-9)
    }
    #expect(abs(nats[16] / 17 - nats[..<17].reduce(0, +) / 977) > 1e-3, "a mean of means would be the same")
  }

  @Test func aRunLeavesItsConfiguration() throws {
    let bench = try Workbench()
    let configuration = try bench.configuration(["training.steps=2", "model.layers=1"])
    try train(configuration)
    #expect(try RunConfiguration(contentsOf: bench.file("run/config.yaml")) == configuration)
    #expect(try CheckpointReader(path: checkpoint(bench.file("run"), step: 2)).savedConfiguration() == configuration)
  }

  @Test func trainingLowersTheLoss() throws {
    let bench = try Workbench()
    let summary = try train(
      bench.configuration([
        "training.epochs=12", "model.dropout=0", "model.hidden_size=16", "model.embedding_size=16",
        "optimizer.learning_rate=0.01",
      ]), workers: 2)[0]
    // Each character of 13 is followed by one of three: ln 3 is the least that can be reached.
    let loss = try #require(summary.validation).natsPerToken
    #expect(loss < 1.4 && loss > 1.0986)
  }
}
