import Checkpoints
import Configuration
import Failures
import Foundation
import TestSupport
import Testing
import Training
import Workers

/// Whatever goes wrong on one worker ends all of them, with one message and the last good checkpoint in place.
@Suite struct TrainerFailureTests {
  @Test func divergenceIsSaid() throws {
    let bench = try Workbench()
    let configuration = try bench.configuration([
      "model.cell=elman", "model.activation=relu", "optimizer.name=sgd", "optimizer.learning_rate=1e30",
      "training.clip_norm=0", "training.checkpoint_every=1",
    ])
    expectFailure(.softwareFault, "diverged", "step 2", "learning rate 1e+30", "clip_norm") {
      try train(configuration, workers: 3)
    }
    let latest = try CheckpointReader(path: CheckpointStore.resolve("latest", in: bench.file("run")))
    #expect(latest.header.step == 1)
    // What led there can be read up.
    #expect(try MetricsRow.all(of: bench.file("run")).map(\.step) == [1])
  }

  @Test func weightsThatAreNoNumbersAreNotSaved() throws {
    let bench = try Workbench()
    let good = ["optimizer.name=sgd", "training.steps=2", "run.keep=1"]
    try train(bench.configuration(good))
    // The gradient is finite and its clipped update is not: the loss has not seen it yet.
    let configuration = try bench.configuration([
      "optimizer.name=sgd", "optimizer.learning_rate=1e39", "training.steps=9", "training.checkpoint_every=1",
      "run.keep=1",
    ])
    expectFailure(.softwareFault, "step 3", "diverged") { try train(configuration, workers: 2, resume: "latest") }
    let latest = try CheckpointReader(path: CheckpointStore.resolve("latest", in: bench.file("run")))
    #expect(latest.header.step == 2)
  }

  @Test func aCheckpointThatCannotBeWrittenEndsAllWorkers() throws {
    let bench = try Workbench()
    // A directory in the place of the second checkpoint.
    let blocked = checkpoint(bench.file("run"), step: 6)
    try FileManager.default.createDirectory(atPath: "\(blocked)/taken", withIntermediateDirectories: true)
    let errors = failures(try bench.configuration(["training.checkpoint_every=3"]), workers: 3)
    #expect(errors.count == 3)
    for error in errors {
      #expect(error.exitStatus == .cannotWrite && error.rank == 0, "\(error)")
      #expect(error.description.contains(blocked) && error.description.contains("--resume latest"), "\(error)")
    }
    let latest = try CheckpointReader(path: CheckpointStore.resolve("latest", in: bench.file("run")))
    #expect(latest.header.step == 3)

    // With the obstacle gone the run goes on and ends as if nothing had happened.
    try FileManager.default.removeItem(atPath: blocked)
    let resumed = try train(bench.configuration(["training.checkpoint_every=3"]), workers: 2, resume: "latest")[0]
    let whole = try train(bench.configuration(run: "whole"))[0]
    #expect(resumed.weightDigest == whole.weightDigest)
  }

  @Test func aTornShardEndsAllWorkers() throws {
    let bench = try Workbench(shards: 3)
    // Only the last worker has streams in the last shard; any of them may be the one that computes its digest.
    let shard = "\(bench.corpus)/train-00002.h5"
    var bytes = try Data(contentsOf: URL(fileURLWithPath: shard))
    for index in bytes.count - 200..<bytes.count { bytes[index] ^= 0x5A }
    try bytes.write(to: URL(fileURLWithPath: shard))
    let errors = failures(try bench.configuration(), workers: 3)
    #expect(errors.count == 3)
    for error in errors {
      #expect(error.exitStatus == .badData && !error.failedEverywhere, "\(error)")
      #expect(error == errors[0] && error.description.contains(": \(shard): damaged"), "\(error)")
    }
  }

  @Test func aMissingCorpusIsOneMessage() throws {
    let bench = try Workbench()
    let errors = failures(try bench.configuration(["data.corpus=/nowhere/corpus"]), workers: 3)
    #expect(errors.count == 3)
    for error in errors { #expect(error.failedEverywhere && "\(error)".hasPrefix("/nowhere/corpus: "), "\(error)") }
  }

  @Test func aRunDirectoryThatCannotBeMadeIsSaid() throws {
    let bench = try Workbench()
    try Data().write(to: URL(fileURLWithPath: bench.file("file")))
    expectFailure(.cannotWrite, bench.file("file/run")) { try train(bench.configuration(run: "file/run"), workers: 2) }
  }

  @Test func tooShortSplitsAreRefused() throws {
    let bench = try Workbench()
    try bench.prepare("short", alphabet: "ab", trainTokens: 6)
    expectFailure(.usage, "6 tokens are too few for 6 streams") {
      try train(bench.configuration(["data.corpus=\(bench.file("short"))"]), workers: 2)
    }
  }

  /// A limit on the size of files stands for a full disk, which the first worker meets between two collectives.
  @Test func metricsThatCannotBeWrittenEndAllWorkers() async throws {
    let bench = try Workbench()
    let configuration = try bench.configuration(["training.validate_every=15"]).yaml
    await #expect(processExitsWith: .success) { [configuration = configuration as String] in
      signal(SIGXFSZ, SIG_IGN)
      let configuration = try RunConfiguration(yaml: configuration, source: "test.yaml")
      var limits = rlimit(rlim_cur: 1500, rlim_max: 1500)
      setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limits)
      expectFailure(.cannotWrite, "metrics.jsonl", "File too large") { try train(configuration, workers: 3) }
    }
  }

  /// What each worker is told.
  private func failures(_ configuration: RunConfiguration, workers: Int) -> [WorkerFailure] {
    let failures = try? onWorkers(workers) { group -> WorkerFailure? in
      do {
        _ = try Trainer(group, configuration: configuration, arithmetic: .best, logger: silentLogger).run()
        return nil
      } catch let failure as WorkerFailure {
        return failure
      }
    }
    return (failures ?? []).compactMap { $0 }
  }
}
