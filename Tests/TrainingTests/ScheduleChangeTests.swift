import Checkpoints
import Configuration
import Failures
import Foundation
import Logging
import Synchronization
import TestSupport
import Testing
import Training
import Workers

/// What a run says of its learning rate where it is not what one might take it for.
@Suite struct ScheduleChangeTests {
  /// Keeps what is logged.
  private final class Log: LogHandler, @unchecked Sendable {  // the lines are behind a lock
    private let text = Mutex<[String]>([])
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .info
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { nil }
      set {}
    }
    func log(event: LogEvent) { text.withLock { $0.append("\(event.level): \(event.message)") } }
    var lines: [String] { text.withLock { $0 } }
  }

  private func log(of configuration: RunConfiguration, resume: String? = nil) throws -> [String] {
    let log = Log()
    _ = try Trainer(
      SingleWorker(), configuration: configuration, resume: resume, arithmetic: .best,
      logger: Logger(label: "test") { _ in log }
    ).run()
    return log.lines
  }

  @Test func warmUpMustEndBeforeTheRun() throws {
    let bench = try Workbench()
    let schedule = ["schedule.name=cosine", "schedule.warmup_steps=1000"]
    expectFailure(.usage, "'schedule.warmup_steps' is 1000", "the run has \(2 * windowsPerEpoch) steps") {
      try train(bench.configuration(schedule), workers: 2)
    }
    #expect(!FileManager.default.fileExists(atPath: bench.file("run")))
  }

  @Test func aCosineThatIsExtendedSaysWhatTheRateIs() throws {
    let bench = try Workbench()
    let schedule = ["schedule.name=cosine"]
    try train(bench.configuration(schedule + ["training.epochs=1"]))
    let lines = try log(of: bench.configuration(schedule + ["training.epochs=2"]), resume: "latest")
    #expect(lines.contains { $0.contains("ends at step 34 instead of 17") }, "\(lines)")
    #expect(lines.contains { $0.contains("learning rate of the next step: 0.0025, where it would have been 0") })
    // Nothing is said where nothing changes.
    try train(bench.configuration(run: "same", schedule + ["training.steps=34"]), workers: 1)
    let same = try log(
      of: bench.configuration(run: "same", schedule + ["training.epochs=2"]),
      resume: checkpoint(bench.file("same"), step: 17))
    #expect(!same.contains { $0.contains("learning rate of the next step") || $0.contains("instead of") })
  }

  @Test func aPlateauThatHasFallenIsAppliedToANewRate() throws {
    let bench = try Workbench()
    // No validation improves by half, so each one after the first lowers the rate.
    let schedule = [
      "schedule.name=plateau", "schedule.factor=0.25", "schedule.patience=0", "schedule.threshold=0.5",
      "training.validate_every=4",
    ]
    try train(bench.configuration(schedule + ["training.steps=16"]))
    let lines = try log(
      of: bench.configuration(schedule + ["training.steps=17", "optimizer.learning_rate=0.7"]), resume: "latest")
    #expect(
      lines.contains { line in
        line.contains("learning rate of the next step: 0.01094") && line.contains("0.7 times 0.01562")
          && line.contains("set it to 44.8")
      }, "\(lines)")
    #expect(try MetricsRow.all(of: bench.file("run")).compactMap(\.learningRate).last == 0.7 * 0.015625)
  }

  @Test func aRunThatEndsWorseThanItBeganSaysSo() throws {
    let bench = try Workbench()
    let lines = try log(
      of: bench.configuration([
        "optimizer.name=sgd", "optimizer.learning_rate=1e6", "training.clip_norm=0", "training.epochs=1",
      ]))
    #expect(lines.contains { $0.hasPrefix("warning: training ends worse than it began") }, "\(lines)")
    #expect(!lines.contains { $0.contains("best so far") })
    #expect(lines.contains { $0.contains("a uniform distribution has a lower validation loss") })
    let good = try log(of: bench.configuration(run: "good"))
    #expect(good.contains { $0.contains("best so far") } && !good.contains { $0.hasPrefix("warning") }, "\(good)")
  }
}
