import Checkpoints
import Configuration
import Foundation
import Kernels
import Optimizers
import TestSupport
import Testing
import Training

/// The number of workers changes the speed and nothing else.
@Suite struct TrainerInvarianceTests {
  /// A run with dropout, ragged windows, clipping, validations and checkpoints in the middle of an epoch.
  static let runs: [[String]] = [
    ["model.cell=lstm"], ["model.cell=gru", "optimizer.name=sgd", "optimizer.momentum=0.9"],
    ["model.cell=elman", "model.embedding_size=64", "model.tie_weights=true", "optimizer.name=rmsprop"],
    // All parameters in one block of the norm, which one worker owns.
    ["model.hidden_size=12", "model.embedding_size=8", "model.cell=gru", "model.reset=before"],
  ]

  @Test(arguments: runs, Arithmetic.available)
  func anyNumberOfWorkersGivesTheSameRun(overrides: [String], _ arithmetic: Arithmetic) throws {
    try expectTheSameRun(overrides, arithmetic)
  }

  @Test(.enabled(if: Arithmetic.best.computes(in: .bf16), "this processor has no bf16 instructions"))
  func anyNumberOfWorkersGivesTheSameRunInBF16() throws {
    try expectTheSameRun(["training.precision=bf16"], .best)
  }

  private func expectTheSameRun(_ overrides: [String], _ arithmetic: Arithmetic) throws {
    let bench = try Workbench()
    var runs: [(summary: Trainer.Summary, middle: CheckpointContent, end: CheckpointContent, metrics: [MetricsRow])] =
      []
    for workers in 1...4 {
      let run = bench.file("run-\(workers)")
      let summaries = try train(
        bench.configuration(
          run: "run-\(workers)",
          overrides + ["training.validate_every=8", "training.checkpoint_every=11", "schedule.name=plateau"]),
        workers: workers, arithmetic: arithmetic)
      #expect(Set(summaries.map(\.weightDigest)).count == 1)
      runs.append(
        (
          summaries[0], try CheckpointContent(checkpoint(run, step: 22)),
          try CheckpointContent(checkpoint(run, step: 2 * windowsPerEpoch)), try MetricsRow.all(of: run)
        ))
    }
    let first = runs[0]
    #expect(first.summary.position == TrainingPosition(step: 34, epoch: 2, window: 0, tokens: 2 * 1001))
    #expect(first.middle.position == [22, 1, 5])
    for (index, run) in runs.enumerated().dropFirst() {
      let label = "\(index + 1) workers"
      #expect(run.summary.weightDigest == first.summary.weightDigest, "\(label)")
      #expect(run.summary.validation == first.summary.validation, "\(label)")
      #expect(run.middle == first.middle, "\(label)")
      #expect(run.end == first.end, "\(label)")
      #expect(run.metrics == first.metrics, "\(label)")
    }
  }

  @Test func slotsAreSharedOut() throws {
    let bench = try Workbench()
    let configuration = try bench.configuration(["training.steps=1"])
    let alone = try train(configuration)[0].slotFloats
    try FileManager.default.removeItem(atPath: bench.file("run"))
    let shared = try train(configuration, workers: 4).map(\.slotFloats)
    #expect(shared.reduce(0, +) == alone)
    #expect(shared.allSatisfy { $0 > 0 && $0 < alone })
  }

  @Test func dropoutAndTheSeedMatter() throws {
    // Else the comparisons above would hold for a mask that nobody applies.
    let bench = try Workbench()
    let variants = [[], ["model.dropout=0"], ["training.seed=2"]]
    let digests = try variants.enumerated().map { index, overrides in
      try train(bench.configuration(run: "run-\(index)", overrides + ["training.steps=2"]))[0].weightDigest
    }
    #expect(Set(digests).count == 3)
  }

  @Test(arguments: 1...4)
  func allreduceTrainsOnAnyNumberOfWorkers(workers: Int) throws {
    let bench = try Workbench()
    let tree = try train(bench.configuration(run: "tree"))[0]
    let summaries = try train(
      bench.configuration(run: "allreduce", ["training.exchange=allreduce"]), workers: workers)
    let (expected, found) = (try #require(tree.validation), try #require(summaries[0].validation))
    #expect(abs(expected.natsPerToken - found.natsPerToken) < 2e-3)
    #expect(Set(summaries.map(\.weightDigest)).count == 1)
  }

  /// The vectors' width is no part of the results; whether products are fused is.
  @Test(arguments: [[], ["model.cell=gru", "model.dropout=0"], ["model.cell=elman", "optimizer.name=sgd"]])
  func fusedArithmeticGivesTheSameRun(overrides: [String]) throws {
    let bench = try Workbench()
    let digests = try Arithmetic.available.filter { $0.instructionSet != .portable }.map { arithmetic in
      try train(
        bench.configuration(run: "\(arithmetic.instructionSet)", overrides), arithmetic: arithmetic)[0].weightDigest
    }
    #expect(Set(digests).count <= 1)
  }

  @Test func bf16IsRefusedWithoutItsInstructions() throws {
    let bench = try Workbench()
    for arithmetic in Arithmetic.available where !arithmetic.computes(in: .bf16) {
      for workers in [1, 2] {
        expectFailure(.usage, "training.precision", "bf16") {
          try train(bench.configuration(["training.precision=bf16"]), workers: workers, arithmetic: arithmetic)
        }
      }
    }
    #expect(!FileManager.default.fileExists(atPath: bench.file("run")))
  }

  @Test func tooManyWorkersAreRefused() throws {
    let bench = try Workbench()
    let configuration = try bench.configuration(["training.gradient_shards=2"])
    expectFailure(.usage, "3 workers", "2 gradient shards", "training.gradient_shards") {
      try train(configuration, workers: 3)
    }
  }
}
