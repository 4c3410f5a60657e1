import Arena
import Checkpoints
import Configuration
import Failures
import Foundation
import Kernels
import Recurrent
import Signals
import Training
import WorkerScenarios
import Workers

/// The trainer and its exchange among ranks, held against one worker alone.
let trainingScenarios: [WorkerScenario] = [
  WorkerScenario("tree-reduction") { workers, _ in try checkTreeReduction(workers) },
  WorkerScenario("product-team") { workers, _ in try checkProductTeam(workers) },
  WorkerScenario("train") { workers, arguments in
    try withBench(workers) { try checkTraining(workers, $0, overrides: arguments) }
  },
  WorkerScenario("train-skip") { workers, arguments in
    try withBench(workers) { try checkSkippedSteps(workers, $0, overrides: arguments) }
  },
  WorkerScenario("train-drift") { workers, arguments in
    try withBench(workers) { bench in
      _ = try bench.train(workers, run: "run", arguments) { step, model in
        guard step == 7, workers.rank == workers.count - 1 else { return }
        // A bit that flips in the memory of one worker, where the smallest change is.
        let bias = model.weights.parameters.floats("rnn.bias_hh_l1")
        bias[5] = Float(bitPattern: bias[5].bitPattern ^ 1)
      }
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

/// The reduction against a naive recursion over the leaves, which are different ones on every shard and in every round.
private func checkTreeReduction(_ workers: any WorkerGroup) throws {
  let count = 4500
  for shards in workers.count...9 {
    let tree = ShardTree(count: shards)
    func leaf(_ shard: Int, _ round: Int) -> [Float] {
      var random = RandomStream(seed: UInt64(shard + 100 * round), stream: 3)
      return (0..<count).map { _ in Float(random.nextUnit() * 2 - 1) }
    }
    func sum(_ node: ShardTree.Node, _ round: Int) -> [Float] {
      guard node.level > 0 else { return leaf(node.index, round) }
      let (left, right) = tree.children(of: node)
      guard let right else { return sum(left, round) }
      return zip(sum(left, round), sum(right, round)).map { $0 + $1 }
    }
    // The second worker of three or more gets nothing.
    let ends = [0] + [700, 700, 3001].prefix(workers.count - 1) + [count]
    let segments = zip(ends, ends.dropFirst()).map { $0..<$1 }
    let nodes = tree.maximalSubtrees(covering: tree.shards(ofWorker: workers.rank, of: workers.count))
    let buffers = try nodes.map { _ in try workers.floats(count) }
    // Several messages a segment, not as many for each.
    let reduction = try TreeReduction(
      workers, tree: tree, buffers: buffers, segments: segments, pieceFloats: 1000, .best)
    for round in 0..<2 {
      for (node, buffer) in zip(nodes, buffers) { _ = buffer.buffer.update(fromContentsOf: sum(node, round)) }
      try reduction.reduce()
      let sums = reduction.result
      let expected = sum(tree.root, round)[segments[workers.rank]]
      for (index, value) in expected.enumerated() where value.bitPattern != sums[index].bitPattern {
        try expect(false, "\(shards) shards, round \(round): \(sums[index]) at \(index) instead of \(value)")
      }
      try workers.barrier()
    }
  }
}

/// Workers that make their recurrent products together, against the same workers each by itself: the same bits.
private func checkProductTeam(_ workers: any WorkerGroup) throws {
  let cells: [Cell] = [.lstm, .gru(.after), .gru(.before), .elman(.tanh)]
  let arithmetics = Arithmetic.available.flatMap { arithmetic in
    Precision.allCases.filter(arithmetic.computes(in:)).map { (arithmetic, $0) }
  }
  for (arithmetic, precision) in arithmetics {
    for cell in cells {
      // One panel of columns for several workers, panels that are not full, an odd number of values in a row.
      for hidden in [15, 33, 70] {
        let shape = ModelShape(cell: cell, vocabularySize: 30, embeddingSize: 20, hiddenSize: hidden, layers: 2)
        let alone = try gradientBits(workers, shape, arithmetic, precision, together: false)
        let together = try gradientBits(workers, shape, arithmetic, precision, together: true)
        try expect(alone == together, "\(cell), hidden size \(hidden), \(precision), \(arithmetic.instructionSet)")
      }
    }
  }
}

/// The bits of this worker's gradients and losses after two windows, the second of them shorter.
private func gradientBits(
  _ workers: any WorkerGroup, _ shape: ModelShape, _ arithmetic: Arithmetic, _ precision: Precision, together: Bool
) throws -> [UInt64] {
  let (weights, isShared) = try ModelWeights.shared(
    by: workers, shape, arithmetic, precision: precision, training: true
  ) {
    Initialization.uniform(range: 0.4).fill($0, shape: shape, seed: 3)
  }
  // Workers with different numbers of streams.
  let batch = LocalBatch(window: 5, streams: 9, shards: 5, rank: workers.rank, workers: workers.count)
  let team = try ProductTeam(
    workers, weights, batch: batch, sharesWeights: isShared, minimumBytes: together ? 0 : .max, crowded: true)
  let possible = isShared && workers.count > 1
  try expect((team != nil) == (together && possible), "a team: \(team != nil)")
  let model = try LanguageModel(weights, batch: batch, training: true, team: team)
  try team?.connect()
  let window = Window(steps: 5, streams: batch.streams.count)
  var bits: [UInt64] = []
  for (pass, steps) in [5, 3].enumerated() {
    window.steps = steps
    for row in 0..<window.rows {
      window.inputs[row] = Int32((row * 7 + workers.rank * 3 + pass) % 30)
      window.targets[row] = Int32((row * 11 + workers.rank + pass) % 30)
    }
    try model.trainingPass(window, step: pass)
    for gradient in model.gradients { bits += gradient.store.values.buffer.map { UInt64($0.bitPattern) } }
    bits += model.shardLosses.map(\.bitPattern)
  }
  try workers.barrier()
  return bits
}

/// A run of all workers, also in two parts and with another optimiser, ends as that of one worker alone.
private func checkTraining(_ workers: any WorkerGroup, _ bench: TrainingBench, overrides: [String]) throws {
  let together = try bench.train(workers, run: "together", overrides)
  let position = together.position
  try expect(position.epoch == 2 && position.window == 0 && position.tokens == 2002, "\(position)")
  // From the middle of an epoch on: one that this group has written itself, with slots of all workers in it.
  let middle = bench.checkpoint("together", step: 22)
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
}

/// Steps that one worker spoils are left out by all, and the run ends as that of one worker alone.
private func checkSkippedSteps(_ workers: any WorkerGroup, _ bench: TrainingBench, overrides: [String]) throws {
  let overrides = overrides + ["training.on_nonfinite=skip"]
  /// Harms the gradients and the state of stream 3, whoever has it.
  func harm(_ step: Int, _ model: LanguageModel) {
    guard [4, 9, 10].contains(step), model.batch.streams.contains(3) else { return }
    model.gradients[0].store.floats("decoder.bias")[0] = step == 9 ? .nan : .infinity
    let size = model.weights.shape.hiddenSize
    model.states[0].values[(3 - model.batch.streams.lowerBound) * size] = .nan
  }
  let together = try bench.train(workers, run: "together", overrides, didPass: harm)
  let undisturbed = try bench.train(workers, run: "undisturbed", overrides)
  try expect(together.position == undisturbed.position, "\(together.position)")
  try expect(together.weightDigest != undisturbed.weightDigest, "nothing was left out")
  let resumed = try bench.train(workers, run: "resumed", overrides, resume: bench.checkpoint("together", step: 22))
  try expect(resumed.weightDigest == together.weightDigest, "resumed: \(resumed.weightDigest)")
  try workers.agreeing {
    guard workers.rank == 0, !overrides.contains("training.exchange=allreduce") else { return }
    let single = try bench.train(SingleWorker(), run: "single", overrides, didPass: harm)
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
