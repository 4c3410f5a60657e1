import Checkpoints
import Configuration
import Exchange
import Failures
import Foundation
import Interfaces
import Kernels
import Optimizers
import Parameters
import TestSupport
import Testing
import Training
import Workers

/// `training.on_nonfinite: skip`: a step whose loss or gradient is not finite leaves no trace in the weights.
@Suite struct SkippedStepTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var method = TrainingConfiguration.Exchange.tree
    var tied = false
    var rule = UpdateRule.adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8)
    var workers: Int
    var testDescription: String { "\(method), tied \(tied), \(rule.name), \(workers) workers" }
  }

  private static let badStep = 1

  private static let cases = (1...3).flatMap { workers in
    [
      Case(workers: workers), Case(tied: true, workers: workers),
      // Sparse rows of the embedding.
      Case(rule: .adagrad(epsilon: 1e-10), workers: workers), Case(method: .allreduce, workers: workers),
      Case(method: .allreduce, tied: true, rule: .sgd(momentum: 0.9), workers: workers),
    ]
  }

  /// What each worker holds after four steps, as bits.
  private static func run(
    _ group: any WorkerGroup, _ test: Case, isHarmed: Bool
  ) throws -> (weights: [UInt32], slots: [[UInt32]], updates: Int) {
    let setting = try GradientExchangeTests.Setting(
      group, tied: test.tied, method: test.method, shards: 7, vocabulary: 150, test.rule)
    let replica = setting.replica
    for step in 0..<4 {
      let losses = setting.pass(step)
      if step == badStep {
        // The reference leaves the update out of a good step.
        guard isHarmed else {
          _ = try replica.exchange.complete(
            Update(scale: 1, clipNorm: 0, learningRate: 1), losses: losses
          ) { _ in false }
          continue
        }
        if replica.plan.sequences(of: group.rank).contains(4) { harm(replica.model) }
      }
      let update = Update(
        scale: 1 / Double(setting.source.targets(epoch: 0, index: step)), clipNorm: 0.05, learningRate: 0.5)
      let outcome = try replica.exchange.complete(update, losses: losses) { $0.isFinite }
      #expect(outcome.isFinite == (step != badStep))
    }
    try group.barrier()
    func bits(_ values: FloatBuffer) -> [UInt32] { values.buffer.map(\.bitPattern) }
    let optimizer = replica.exchange.optimizer
    return (bits(replica.weights.store.values), optimizer.slots.map(bits), optimizer.updates)
  }

  /// Makes gradients of one worker NaN and infinite: dense ones, and a row of the embedding that the step touched.
  private static func harm(_ model: any GradientModel) {
    let last = model.gradients.count - 1
    model.gradient("rnn.weight_hh_l0", subtree: last).pointer[17] = .nan
    model.gradient("decoder.bias", subtree: last).pointer[3] = .infinity
    for (index, addend) in model.addends.enumerated() where addend.rows == .listed {
      model.gradients[last].matrix(index)[0, 5] = -.infinity
    }
  }

  @Test(arguments: cases) func aBadStepIsAsIfItsUpdateWereLeftOut(_ test: Case) throws {
    let harmed = try onWorkers(test.workers) { try Self.run($0, test, isHarmed: true) }
    let reference = try onWorkers(test.method == .tree ? 1 : test.workers) { try Self.run($0, test, isHarmed: false) }
    for outcome in harmed {
      #expect(outcome.weights == reference[0].weights)
      #expect(outcome.updates == 3 && reference[0].updates == 3)
    }
    let slots = { (outcomes: [(weights: [UInt32], slots: [[UInt32]], updates: Int)]) in
      test.method == .tree
        ? reference[0].slots.indices.map { slot in outcomes.flatMap { $0.slots[slot] } } : outcomes[0].slots
    }
    #expect(slots(harmed) == slots(reference))
  }

  // MARK: The trainer

  /// Trains with steps that are spoilt on the worker that has stream 3.
  private static func train(
    _ configuration: RunConfiguration, workers: Int, resume: String? = nil, badSteps: Set<Int>,
    also harm: (@Sendable (PackedParameters) -> Void)? = nil
  ) throws -> Trainer.Summary {
    try onWorkers(workers) { group in
      let trainer = try Trainer(
        group, configuration: configuration, resume: resume, arithmetic: .best, logger: silentLogger)
      let (replica, streams) = (trainer.replica, trainer.replica.plan.sequences(of: group.rank))
      trainer.didPass = { step, model in
        guard badSteps.contains(step), streams.contains(3) else { return }
        model.gradient("decoder.bias").pointer[0] = .nan
        // One value of one layer's state.
        model.carried[1].values[3 - streams.lowerBound, 7] = .infinity
        harm?(replica.weights)
      }
      return try trainer.run()
    }[0]
  }

  @Test func theRunGoesOnAndCounts() throws {
    let bench = try Workbench()
    let overrides = ["training.on_nonfinite=skip", "training.checkpoint_every=1", "training.epochs=1"]
    let bad: Set = [5, 6, 11]
    var digests: Set<String> = []
    for workers in 1...3 {
      let configuration = try bench.configuration(run: "run-\(workers)", overrides)
      let summary = try Self.train(configuration, workers: workers, badSteps: bad)
      #expect(summary.position.step == windowsPerEpoch && summary.position.epoch == 1)
      digests.insert(summary.weightDigest)
      let run = bench.file("run-\(workers)")
      let (before, after) = (
        try CheckpointContent(checkpoint(run, step: 5)), try CheckpointContent(checkpoint(run, step: 6))
      )
      for name in before.tensors.keys where !name.hasPrefix("hidden_") && !name.hasPrefix("cell_") {
        #expect(before.tensors[name] == after.tensors[name], "\(name)")
      }
      // Stream 3 starts anew in all layers; the others are carried over.
      for name in ["hidden_l0", "hidden_l1", "cell_l0", "cell_l1"] {
        let values = try #require(after.tensors[name])
        for stream in 0..<6 {
          #expect(values[stream * 64..<(stream + 1) * 64].allSatisfy { $0 == 0 } == (stream == 3), "\(name), \(stream)")
        }
      }
      #expect(after.numbers["updates"] == 4 && after.numbers["skipped_in_a_row"] == 2)
      let last = try CheckpointContent(checkpoint(run, step: windowsPerEpoch)).numbers
      #expect(last["updates"] == Double(windowsPerEpoch - 3) && last["skipped_steps"] == 3)
      #expect(last["skipped_in_a_row"] == 0)
      let rows = try String(contentsOfFile: "\(run)/metrics.jsonl", encoding: .utf8).split(separator: "\n")
      let skipped = try rows.compactMap { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] }
        .filter { $0["skipped"] as? Bool == true }
      #expect(skipped.compactMap { $0["step"] as? Int } == [5, 6, 11])
      #expect(skipped.allSatisfy { $0["gradient_norm"] is NSNull })
    }
    #expect(digests.count == 1)
  }

  @Test func tenInARowStopTheRunAlsoOverAResume() throws {
    let bench = try Workbench()
    let overrides = ["training.on_nonfinite=skip", "training.checkpoint_every=1"]
    _ = try Self.train(
      bench.configuration(overrides + ["training.steps=9"]), workers: 2, badSteps: Set(4...40))
    expectFailure(.softwareFault, "step 13", "tenth step in a row", "step-0000000012.h5 is intact") {
      try Self.train(bench.configuration(overrides), workers: 3, resume: "latest", badSteps: Set(4...40))
    }
    let report = try NonFiniteReport(contentsOf: bench.file("run/nonfinite-step-0000000013.json"))
    #expect(report.skippedInARow == 10 && report.kind == .gradient)
    // A good step between them starts the count again.
    _ = try Self.train(
      bench.configuration(run: "other", overrides), workers: 2, badSteps: Set(4...12).union(Set(14...22)))
  }

  @Test func weightsThatAreNoNumbersStopItAtOnce() throws {
    let bench = try Workbench()
    expectFailure(.softwareFault, "step 4", "weights are not finite") {
      try Self.train(bench.configuration(["training.on_nonfinite=skip"]), workers: 1, badSteps: [4]) { weights in
        weights.floats(named: "rnn.weight_ih_l1")[2] = .nan
      }
    }
    let report = try NonFiniteReport(contentsOf: bench.file("run/nonfinite-step-0000000004.json"))
    #expect(report.kind == .weights)
    #expect(report.first == NonFiniteReport.Place(tensor: "rnn.weight_ih_l1", row: 0, worker: nil))
  }
}
