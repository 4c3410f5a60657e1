import Checkpoints
import Configuration
import Exchange
import Failures
import Foundation
import Interfaces
import Kernels
import Layers
import Models
import Parameters
import Sharding
import Signals
import Training
import WorkerScenarios
import Workers

/// The trainer and its exchange among ranks, held against one worker alone.
let trainingScenarios: [WorkerScenario] = [
  WorkerScenario("exchange") { workers, _ in
    for check in ExchangeCheck.all {
      let difference = try check.firstDifference(workers)
      try expect(difference == nil, "\(check): \(difference ?? "")")
    }
    // So large that each worker's part comes in several messages.
    var large = ExchangeCheck(.sgd(momentum: 0.9), shards: 4)
    large.sizes.dense = 700_000
    let difference = try large.firstDifference(workers)
    try expect(difference == nil, "a large model: \(difference ?? "")")
  },
  WorkerScenario("joint-products") { workers, _ in try checkJointProducts(workers) },
  WorkerScenario("train") { workers, arguments in
    try withBench(workers) { bench in
      let end = try checkTraining(workers, bench, middle: 22, overrides: arguments)
      try expect(end.epoch == 2 && end.window == 0 && end.tokens == 2002, "\(end)")
    }
  },
  WorkerScenario("train-tagger") { workers, arguments in
    try withBench(workers, task: .tagging) { bench in
      let end = try checkTraining(workers, bench, middle: 11, overrides: arguments)
      try expect(end.epoch == 2 && end.window == 0 && end.step == 16, "\(end)")
    }
  },
  WorkerScenario("train-skip") { workers, arguments in
    try withBench(workers) { try checkSkippedSteps(workers, $0, overrides: arguments) }
  },
  WorkerScenario("train-drift") { workers, arguments in
    try withBench(workers) { bench in
      let trainer = try bench.trainer(workers, run: "run", arguments)
      let weights = trainer.replica.weights
      trainer.didPass = { step, _ in
        guard step == 7, workers.rank == workers.count - 1, let bias = weights.layout["rnn.bias_hh_l1"] else { return }
        // A bit that flips in the memory of one worker, where the smallest change is.
        weights.store[bias][5] = Float(bitPattern: weights.store[bias][5].bitPattern ^ 1)
      }
      _ = try trainer.run()
    }
  },
  WorkerScenario("train-stop") { workers, _ in try withBench(workers) { try checkStop(workers, $0) } },
  WorkerScenario("train-torn-shard") { workers, arguments in
    try withBench(workers) { bench in
      try workers.agreeing { if workers.rank == 0 { try bench.tearLastShard() } }
      _ = try bench.train(workers, run: "run", arguments)
    }
  },
  WorkerScenario("train-full-disk") { workers, _ in
    try withBench(workers) { bench in
      // A limit on the size of files stands for a full disk; the first worker meets it between two collectives, when it
      // writes the metrics of the validation.
      signal(SIGXFSZ, SIG_IGN)
      var limits = rlimit(rlim_cur: 1500, rlim_max: 1500)
      if workers.rank == 0 { setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limits) }
      _ = try bench.train(workers, run: "run", ["training.validate_every=15", "training.checkpoint_every=0"])
    }
  },
]

/// Workers that make their recurrent products together, against the same workers each by itself: the same bits.
private func checkJointProducts(_ workers: any WorkerGroup) throws {
  let cells: [Cell] = [.lstm, .gru(.after), .gru(.before), .elman(.tanh)]
  let arithmetics = Arithmetic.available.flatMap { arithmetic in
    Precision.allCases.filter(arithmetic.computes(in:)).map { (arithmetic, $0) }
  }
  for (arithmetic, precision) in arithmetics {
    for cell in cells {
      // One panel of columns for several workers, panels that are not full, an odd number of values in a row.
      for hidden in [15, 33, 70] {
        let architecture = LanguageArchitecture(
          .init(cell: cell, vocabularySize: 30, embeddingSize: 20, hiddenSize: hidden, layers: 2))
        let alone = try gradientBits(workers, architecture, arithmetic, precision, together: false)
        let together = try gradientBits(workers, architecture, arithmetic, precision, together: true)
        try expect(alone == together, "\(cell), hidden size \(hidden), \(precision), \(arithmetic.instructionSet)")
      }
    }
  }
}

/// The bits of this worker's gradients and losses after two windows, the second of them shorter.
private func gradientBits(
  _ workers: any WorkerGroup, _ architecture: LanguageArchitecture, _ arithmetic: Arithmetic, _ precision: Precision,
  together: Bool
) throws -> [UInt64] {
  let (weights, isShared) = try PackedParameters.shared(
    by: workers, architecture.layout, arithmetic, precision: precision, needsBackward: true
  ) {
    architecture.initialize($0, .uniform(range: 0.4), seed: 3)
  }
  // Workers with different numbers of streams.
  let plan = BatchPlan(window: 5, sequences: 9, shards: 5, workers: workers.count)
  let products = try JointProducts(
    workers, plan, sharesWeights: isShared, minimumBytes: together ? 0 : .max, crowded: true)
  let model = try LanguageModel(
    architecture, weights, plan, rank: workers.rank, Workspace(jointProducts: products))
  let possible = isShared && workers.count > 1
  try expect((products?.isUsed ?? false) == (together && possible), "joint products: \(products != nil)")
  try products?.connect()
  let batch = Batch(
    Window(steps: 5, streams: plan.sequences(of: workers.rank).count), units: plan.rowLists(of: workers.rank))
  var bits: [UInt64] = []
  for (pass, steps) in [5, 3].enumerated() {
    batch.input.steps = steps
    plan.list(batch.units, of: workers.rank, count: 9, batch.input.layout)
    for row in 0..<batch.input.layout.count {
      batch.input.tokens[row] = Int32((row * 7 + workers.rank * 3 + pass) % 30)
      batch.input.targets[row] = Int32((row * 11 + workers.rank + pass) % 30)
    }
    var nats = [Double](repeating: 0, count: batch.unitCount)
    try model.trainingPass(batch, observer: SettledWeights(), nats: &nats)
    for gradient in model.gradients {
      for addend in model.addends.indices {
        let values = gradient.matrix(addend)
        for row in 0..<values.rows {
          for column in 0..<values.columns { bits.append(UInt64(values[row, column].bitPattern)) }
        }
      }
    }
    bits += nats.map(\.bitPattern)
  }
  try workers.barrier()
  return bits
}

/// A run of all workers, also in two parts and with another optimiser, ends as that of one worker alone.
///
/// - Parameter middle: a step in the middle of the second epoch that a checkpoint follows.
/// - Returns: where the run ended.
private func checkTraining(
  _ workers: any WorkerGroup, _ bench: TrainingBench, middle: Int, overrides: [String]
) throws -> TrainingPosition {
  let together = try bench.train(workers, run: "together", overrides)
  // This group has written the checkpoint itself, with slots of all workers in it.
  let middle = bench.checkpoint("together", step: middle)
  let resumed = try bench.train(workers, run: "resumed", overrides, resume: middle)
  try expect(resumed.weightDigest == together.weightDigest, "resumed: \(resumed.weightDigest)")
  try workers.agreeing {
    guard workers.rank == 0 else { return }
    let single = try bench.train(SingleWorker(), run: "single", overrides)
    let continued = try bench.train(SingleWorker(), run: "continued", overrides, resume: middle)
    if overrides.contains("training.exchange=allreduce") {
      // Sums in another order: the same run, but for the last bits.
      let losses = [single, together].map { $0.validation?.natsPerToken ?? .nan }
      try expect(abs(losses[0] - losses[1]) < 2e-3, "validation losses \(losses)")
    } else {
      try expect(single.weightDigest == together.weightDigest, "alone: \(single.weightDigest)")
      try expect(continued.weightDigest == together.weightDigest, "continued alone: \(continued.weightDigest)")
      try expect(single.validation == together.validation, "validation: \(String(describing: single.validation))")
    }
  }
  // Every worker has the same weights, not only the first.
  var digests = [UInt8](repeating: 0, count: 64 * workers.count)
  let segments = (0..<workers.count).map { ($0 * 64)..<(($0 + 1) * 64) }
  digests.replaceSubrange(segments[workers.rank], with: Array(together.weightDigest.utf8))
  try digests.withUnsafeMutableBytes { try workers.allGather($0, segments: segments) }
  try expect(Set(segments.map { digests[$0] }).count == 1, "the workers' weights differ")
  return together.position
}

/// Steps that one worker spoils are left out by all, and the run ends as that of one worker alone.
private func checkSkippedSteps(_ workers: any WorkerGroup, _ bench: TrainingBench, overrides: [String]) throws {
  let overrides = overrides + ["training.on_nonfinite=skip"]
  /// Harms the gradients and the state of stream 3, whoever has it.
  func harm(_ trainer: Trainer, _ rank: Int) -> (Int, any GradientModel) -> Void {
    let streams = trainer.replica.plan.sequences(of: rank)
    return { step, model in
      guard [4, 9, 10].contains(step), streams.contains(3) else { return }
      let bias = model.addends.firstIndex { $0.parameter.name == "decoder.bias" } ?? 0
      model.gradients[0].matrix(bias)[0, 0] = step == 9 ? .nan : .infinity
      model.carried[0].values[3 - streams.lowerBound, 0] = .nan
    }
  }
  let together = try bench.train(workers, run: "together", overrides, harm: harm)
  let undisturbed = try bench.train(workers, run: "undisturbed", overrides)
  try expect(together.position == undisturbed.position, "\(together.position)")
  try expect(together.weightDigest != undisturbed.weightDigest, "nothing was left out")
  let resumed = try bench.train(workers, run: "resumed", overrides, resume: bench.checkpoint("together", step: 22))
  try expect(resumed.weightDigest == together.weightDigest, "resumed: \(resumed.weightDigest)")
  try workers.agreeing {
    guard workers.rank == 0, !overrides.contains("training.exchange=allreduce") else { return }
    let single = try bench.train(SingleWorker(), run: "single", overrides, harm: harm)
    try expect(single.weightDigest == together.weightDigest, "alone: \(single.weightDigest)")
  }
}

/// A signal that reaches the last worker alone stops all at the same place, and the run continues from there.
private func checkStop(_ workers: any WorkerGroup, _ bench: TrainingBench) throws {
  if workers.rank == 0 || workers is MPIWorkers { StopSignal.install() }
  try workers.barrier()
  // While the run is being set up it is given up; before its first step, and within a validation, it leaves a checkpoint.
  if workers.rank == workers.count - 1 { raise(SIGUSR1) }
  do {
    _ = try bench.trainer(workers, run: "run")
    throw Failure(.softwareFault, "the signal was not heard")
  } catch let failure as WorkerFailure {
    try expect(failure.exitStatus == .stoppedBySignal, "\(failure)")
  }
  try workers.barrier()
  StopSignal.clear()
  try workers.barrier()
  let trainer = try bench.trainer(workers, run: "run")
  if workers.rank == workers.count - 1 { raise(SIGUSR1) }
  let stopped = try trainer.run()
  try expect(stopped.wasStopped && stopped.position.step == 0, "stopped at \(stopped.position)")
  try workers.barrier()
  StopSignal.clear()
  try workers.barrier()
  let ended = try bench.train(workers, run: "run", resume: "latest")
  let whole = try bench.train(workers, run: "whole")
  try expect(!ended.wasStopped && ended.weightDigest == whole.weightDigest, "went on to \(ended)")
}
