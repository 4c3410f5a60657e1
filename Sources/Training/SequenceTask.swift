import Checkpoints
import Configuration
import Corpus
import Exchange
import Interfaces
import Kernels
import Models
import Optimizers
import Parameters
import Sharding
import Workers

/// A task whose batches have one type of input.
protocol SequenceTask<Input>: TrainingTask {
  associatedtype Input

  var ownReplica: Replica<Input> { get }
  var batches: any BatchSource<Input> { get }
  var batch: Batch<Input> { get }
  var evaluator: Evaluator<Input>? { get }
}

extension SequenceTask {
  package var replica: any WorkerReplica { ownReplica }
  package var batchesPerEpoch: Int { batches.batchesPerEpoch }
  package var canValidate: Bool { evaluator != nil }
  package func targets(epoch: Int, index: Int) -> Int { batches.targets(epoch: epoch, index: index) }

  package func pass(
    at position: BatchPosition, willFill: () throws -> Void, didPass: (any GradientModel) -> Void
  ) -> Result<[Double], any Error> {
    ownReplica.pass(
      batch,
      fill: {
        try willFill()
        try batches.fill(batch, at: position)
      }, didPass: didPass)
  }

  package func validate(progress: (Double) -> Void) throws -> Evaluation? {
    try evaluator?.evaluateUnlessStopped(progress: progress)
  }
}

extension Replica {
  /// Creates the replica of a run, with the weights of a checkpoint or initial ones; collective.
  ///
  /// - Parameter didLoad: called with a line for the log if the initial weights come from a file.
  convenience init(
    _ group: any WorkerGroup, _ configuration: RunConfiguration, _ architecture: any Architecture<Input>,
    _ plan: BatchPlan, _ arithmetic: Arithmetic, _ corpus: CorpusReader, resuming checkpoint: CheckpointReader?,
    didLoad: (String) -> Void
  ) throws {
    try self.init(
      group, architecture, plan, arithmetic, precision: configuration.training.precision, TrainingMethod(configuration)
    ) { parameters in
      if let checkpoint {
        try checkpoint.readParameters(into: parameters)
      } else if let line = try configuration.initialize(parameters, architecture, corpus: corpus) {
        didLoad(line)
      }
    }
  }
}

extension MemoryBudget {
  /// The memory that training needs on each host: the weights, and each worker's model, gradients, part of the
  /// optimiser's
  /// slots, and exchange; collective.
  ///
  /// - Parameters:
  ///   - data: bytes that this worker needs for batches and validation.
  ///   - states: floats of carried state per sequence, which the first worker gathers for a checkpoint.
  /// - Throws: ``WorkerFailure`` (usage) if a host has less.
  static func training(
    _ group: any WorkerGroup, _ configuration: RunConfiguration, _ architecture: some RecurrentArchitecture,
    _ plan: BatchPlan, data: Int, states: Int = 0, resuming: Bool, remedy: String
  ) throws -> MemoryBudget {
    let (training, layout, rank) = (configuration.training, architecture.layout, group.rank)
    let slots = configuration.updateRule.slotNames.count
    let keepsWhole = training.exchange == .allreduce || group.count == 1
    let inPlace = group.count == 1 || group.sharesMemory
    var bytes = data + architecture.modelBytes(plan, rank: rank, precision: training.precision)
    bytes += architecture.gradientBytes(plan, rank: rank)
    bytes += 4 * slots * (keepsWhole ? layout.count : Ownership(layout, workers: group.count).segments[rank].count)
    // Buffers for sums and messages: of an allreduce, or of the table's rows and of workers without shared memory.
    bytes +=
      training.exchange == .allreduce
      ? 4 * layout.count
      : 4 * TreeExchange.floats([architecture.table], plan, rank: rank, sharesMemory: inPlace)
        + 24 * plan.mostRows(in: 0..<plan.tree.count) + architecture.table.rows / 8
    // For checkpoints: what the first worker gathers, and the buffer for restoring a slot.
    if rank == 0 { bytes += 4 * (states * plan.sequences + (keepsWhole ? 0 : slots * layout.count)) }
    if resuming, slots > 0 { bytes += 4 * (layout.parameters.map(\.count).max() ?? 0) }
    return try MemoryBudget(
      group, weights: PackedParameters.bytes(layout, precision: training.precision, needsBackward: true),
      areShared: inPlace && training.exchange == .tree || group.count == 1, own: bytes, given: training.memoryLimit,
      key: "training.memory_limit", what: "training", remedy: remedy)
  }
}
