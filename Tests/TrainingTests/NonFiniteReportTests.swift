import Checkpoints
import Configuration
import Failures
import Foundation
import TestSupport
import Testing
import Training
import Workers

/// What a run leaves behind that has met NaN or infinity, and how that is found again.
@Suite struct NonFiniteReportTests {
  /// Blows up in the step after the first.
  private static let exploding = [
    "model.cell=elman", "model.activation=relu", "model.dropout=0", "optimizer.name=sgd",
    "optimizer.learning_rate=1e30", "training.clip_norm=0",
  ]

  @Test(arguments: 1...3) func theReportSaysWhatAndWhere(workers: Int) throws {
    let bench = try Workbench()
    let configuration = try bench.configuration(Self.exploding)
    let path = bench.file("run/nonfinite-step-0000000002.json")
    expectFailure(.softwareFault, "step 2", "there is no earlier checkpoint", "clip_norm, which is off", path) {
      try train(configuration, workers: workers)
    }
    let report = try NonFiniteReport(contentsOf: path)
    #expect(report.kind == .loss && report.step == 2 && report.epoch == 1 && report.window == 1)
    #expect(report.windowSteps == 10 && report.streams == 6 && report.workers == workers)
    #expect(!report.loss.isFinite && report.learningRate == 1e30 && report.checkpoint == nil)
    #expect(report.first?.tensor == "gradient of decoder.weight" && report.workerOfFirstLoss == 0)
    #expect(report.streamsWithoutFiniteLoss.first?.first == 0)
    #expect(report.configuration == configuration.yaml)
    #expect(try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path))) is [String: Any])
  }

  @Test func theWorkerThatHasItIsNamed() throws {
    let bench = try Workbench()
    for harmed in 0..<3 {
      let run = "run-\(harmed)"
      let configuration = try bench.configuration(run: run)
      expectFailure(.softwareFault, "step 3", "gradient of rnn.weight_hh_l1 of worker \(harmed)", "row 9") {
        try onWorkers(3) { group in
          let trainer = try Trainer(group, configuration: configuration, arithmetic: .best, logger: silentLogger)
          trainer.didPass = { step, model in
            guard step == 3, group.rank == harmed else { return }
            model.gradient("rnn.weight_hh_l1")[9, 2] = .infinity
            model.gradient("rnn.weight_hh_l0")[0, 0] = .infinity
          }
          return try trainer.run()
        }
      }
      let report = try NonFiniteReport(contentsOf: bench.file("\(run)/nonfinite-step-0000000003.json"))
      #expect(report.first == NonFiniteReport.Place(tensor: "gradient of rnn.weight_hh_l1", row: 9, worker: harmed))
      #expect(report.kind == .gradient && report.loss.isFinite && report.streamsWithoutFiniteLoss.isEmpty)
    }
  }

  @Test func aReplayFindsTheFirstValueAndWritesNothing() throws {
    let bench = try Workbench()
    // Two good steps and a checkpoint, then a rate that no weights survive.
    let good = Self.exploding.map { $0 == "optimizer.learning_rate=1e30" ? "optimizer.learning_rate=0.01" : $0 }
    try train(bench.configuration(good + ["training.steps=2"]))
    expectFailure(.softwareFault, "step 4", "step-0000000002.h5 is intact") {
      try train(bench.configuration(Self.exploding), workers: 2, resume: "latest")
    }
    let run = bench.file("run")
    let path = "\(run)/nonfinite-step-0000000004.json"
    func listing() throws -> [String: Int] {
      let names = try FileManager.default.subpathsOfDirectory(atPath: run)
      return try Dictionary(
        uniqueKeysWithValues: names.map { name in
          let attributes = try FileManager.default.attributesOfItem(atPath: "\(run)/\(name)")
          return (name, (attributes[.size] as? Int ?? 0) ^ (attributes[.modificationDate] as? Date).hashValue)
        })
    }
    let before = try listing()
    guard
      case .value(let step, let finding) = try Replay(path, overrides: []).run(arithmetic: .best, logger: silentLogger)
    else {
      Issue.record("nothing was found")
      return
    }
    #expect(step == 4)
    #expect(finding.tensor == "input product of layer 0" && finding.timeStep == 0, "\(finding)")
    #expect(try listing() == before)

    // With a rate that the weights survive there is nothing to find.
    let harmless = try Replay(path, overrides: ["optimizer.learning_rate=0.01"])
    #expect(try harmless.run(arithmetic: .best, logger: silentLogger) == .nothing(step: 4))
  }

  @Test func aReplayFindsWeightsThatAnUpdateSpoilt() throws {
    let bench = try Workbench()
    let overrides = ["optimizer.name=sgd", "optimizer.learning_rate=1e39", "training.checkpoint_every=1"]
    expectFailure(.softwareFault, "step 1", "some weights are not finite", "no earlier checkpoint") {
      try train(bench.configuration(overrides), workers: 2)
    }
    let path = bench.file("run/nonfinite-step-0000000001.json")
    guard case .weights(1, let place) = try Replay(path, overrides: []).run(arithmetic: .best, logger: silentLogger)
    else {
      Issue.record("no weights were found")
      return
    }
    #expect(place == (try NonFiniteReport(contentsOf: path)).first)
  }

  @Test func weightsThatStartTooLargeAreNotADivergence() throws {
    let bench = try Workbench()
    let configuration = try bench.configuration([
      "model.cell=elman", "model.activation=relu", "model.initial_range=1e38",
    ])
    do {
      try train(configuration, workers: 2)
      Issue.record("no error was thrown")
    } catch {
      #expect("\(error)".contains("before any update") && "\(error)".contains("model.initial_range"), "\(error)")
      #expect(!"\(error)".contains("diverged"))
    }
  }

  @Test(arguments: ["{}", "no JSON", "{\"format\": \"another\"}"]) func otherFilesAreRefused(text: String) throws {
    let bench = try Workbench()
    try text.write(toFile: bench.file("report.json"), atomically: true, encoding: .utf8)
    expectFailure(.badData, "report.json") { try Replay(bench.file("report.json"), overrides: []) }
    expectFailure(.badData, "nowhere.json") { try Replay(bench.file("nowhere.json"), overrides: []) }
  }
}
