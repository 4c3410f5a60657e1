import Foundation
import TestSupport
import Testing

/// Training under mpirun and on threads of a process: the checks of `worker-scenarios` that train.
@Suite(.serialized, .enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct TrainingRankTests {
  @Test(
    arguments: [
      ["exchange"], ["joint-products"], ["train"],
      ["train", "model.cell=gru", "optimizer.name=sgd", "optimizer.momentum=0.9", "training.exchange=allreduce"],
      ["train", "model.cell=elman", "model.embedding_size=64", "model.tie_weights=true", "optimizer.name=rmsprop"],
      // All parameters in one block of the norm, which one worker owns.
      ["train", "model.hidden_size=12", "model.embedding_size=8", "optimizer.name=adagrad"],
      // A window small against the vocabulary: the embedding's rows travel one by one.
      ["train", "data.window=1", "optimizer.name=adagrad"],
      // Recurrent weights that are worth multiplying together, where there is a processor for each worker.
      ["train", "model.hidden_size=740", "model.layers=1", "training.epochs=2"],
      ["train-tagger", "model.bidirectional=true"],
      ["train-tagger", "model.bidirectional=true", "model.cell=gru", "training.exchange=allreduce"],
      ["train-stop"], ["train-skip"], ["train-skip", "training.exchange=allreduce"],
      ["train-skip", "data.window=1", "optimizer.name=adagrad"],
    ], [1, 2, 3, 4])
  func ranksGiveWhatOneWorkerGives(_ scenario: [String], ranks: Int) throws {
    // As on one machine, and as on several.
    for options in ranks == 1 ? [[]] : [[], ["--no-shared-memory"]] {
      let outcome = try MPIRun.run(ranks: ranks, "worker-scenarios", options + scenario, deadline: .seconds(60))
      #expect(!outcome.timedOut)
      #expect(outcome.standardError == "")
      #expect(outcome.standardOutput == "ok \(scenario[0]) ranks=\(ranks)\n")
      #expect(outcome.status == 0)
    }
  }

  @Test(arguments: 2...4) func threadsMakeProductsTogether(threads: Int) throws {
    let outcome = try ChildProcess.run(
      "worker-scenarios", ["--workers", "\(threads)", "joint-products"], deadline: .seconds(60))
    #expect(outcome.standardError == "")
    #expect(outcome.standardOutput == "ok joint-products ranks=\(threads)\n")
  }

  @Test(arguments: [1, 3])
  func aSignalStopsThreadsAfterTheSameStep(threads: Int) throws {
    let outcome = try ChildProcess.run(
      "worker-scenarios", ["--workers", "\(threads)", "train-stop"], deadline: .seconds(60))
    #expect(outcome.standardError == "")
    #expect(outcome.standardOutput == "ok train-stop ranks=\(threads)\n")
  }

  /// Also where the ranks make products together, which they do on as many processors.
  @Test(arguments: [(3, []), (2, ["model.hidden_size=740", "model.layers=1"])])
  func aTornShardOfOneRankEndsTheJobWithOneMessage(ranks: Int, overrides: [String]) throws {
    let outcome = try MPIRun.run(
      ranks: ranks, "worker-scenarios", ["train-torn-shard"] + overrides, deadline: .seconds(30))
    let errors = errorLines(outcome)
    #expect(!outcome.timedOut && outcome.status == 65)
    #expect(errors.count == 1)
    #expect(errors.first?.contains("train-00002.h5") == true)
    #expect(outcome.wallTime < .seconds(15))
  }

  @Test(arguments: [1, 3])
  func aFullDiskOfTheFirstRankEndsTheJobWithOneMessage(ranks: Int) throws {
    // A job that is aborted leaves its files behind.
    let directory = try TemporaryDirectory()
    let outcome = try MPIRun.run(
      ranks: ranks, "worker-scenarios", ["--no-shared-memory", "train-full-disk"],
      environment: ["TMPDIR": directory.path], deadline: .seconds(30))
    let errors = errorLines(outcome)
    #expect(!outcome.timedOut && outcome.status == 73)
    #expect(errors.count == 1)
    #expect(errors.first?.contains("metrics.jsonl") == true && errors.first?.contains("File too large") == true)
    #expect(outcome.wallTime < .seconds(15))
  }

  /// Weights that drift apart are found where each worker has its own, and the worker is named by the others.
  @Test(arguments: [2, 3]) func aWorkerWhoseWeightsDriftIsNamed(ranks: Int) throws {
    let overrides = ["training.exchange=allreduce", "training.verify_every=5"]
    let outcome = try MPIRun.run(
      ranks: ranks, "worker-scenarios", ["train-drift"] + overrides, deadline: .seconds(30))
    let errors = errorLines(outcome)
    #expect(!outcome.timedOut && outcome.status == 70, "\(outcome.standardError)")
    #expect(errors.count == 1)
    #expect(errors.first?.contains("step 10: rank \(ranks - 1) on ") == true, "\(errors)")
    #expect(errors.first?.contains("in rnn.bias_hh_l1 than") == true, "\(errors)")
    #expect(errors.first?.contains("after step 5, which was verified") == true, "\(errors)")
  }

  /// Our own lines, without what mpirun adds to them.
  private func errorLines(_ outcome: ChildProcess.Outcome) -> [String] {
    outcome.standardError.split(separator: "\n").map(String.init).filter { $0.hasPrefix("error: ") }
  }
}
