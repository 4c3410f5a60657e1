import Checkpoints
import Configuration
import Corpus
import Failures
import Foundation
import Workers

extension Trainer {
  /// Checks that the configuration allows this number of workers.
  static func checkWorkers(_ count: Int, _ configuration: RunConfiguration) throws {
    let shards = configuration.training.gradientShards
    guard count > shards else { return }
    throw Failure(
      .usage, "\(count) workers can't share \(shards) gradient \(shards == 1 ? "shard" : "shards")",
      at: "training.gradient_shards",
      remedy: "start at most \(shards) workers, or set training.gradient_shards to \(count) or more "
        + "(at most \(configuration.sequencesKey), \(configuration.sequences)); that changes the order of sums, and so the last bits"
    )
  }

  /// Checks that a run with `configuration` may resume from a checkpoint.
  static func check(_ reader: CheckpointReader, _ configuration: RunConfiguration, _ corpus: CorpusReader) throws {
    let saved = try reader.savedConfiguration()
    try configuration.checkResumable(from: saved)
    try corpus.checkVocabulary(reader.vocabulary(), ofModel: reader.path)
    try corpus.checkLabels(reader.header.labels, ofModel: reader.path)
  }

  /// Claims the directory for this run and opens the journal. First worker only.
  func open(_ directory: RunDirectory, resuming checkpoint: CheckpointReader?) throws {
    let claim = try directory.claim(configuration, resuming: checkpoint)
    (identity, store) = (claim.identity, claim.store)
    let journal = try RunJournal(
      metrics: claim.metrics, from: position.step, totalSteps: totalSteps, logEvery: configuration.training.logEvery,
      unit: LossUnit(corpus), resuming: checkpoint, logger: logger)
    self.journal = journal
    describeRun(journal, checkpoint)
    for remark in claim.remarks { journal.say(remark) }
  }

  /// Resolves `auto` on the first worker, which holds the directory, for all; collective.
  static func settle(
    _ resume: String?, _ group: any WorkerGroup, _ configuration: RunConfiguration
  ) throws -> String? {
    guard resume == "auto" else { return resume }
    var isThere: UInt8 = group.rank == 0 && CheckpointStore.latest(in: configuration.run.directory) != nil ? 1 : 0
    try withUnsafeMutableBytes(of: &isThere) { try group.broadcast($0, from: 0) }
    return isThere == 1 ? "latest" : nil
  }

  /// Broadcasts the lowest validation loss of the directory's checkpoints, nil if there is none; collective.
  static func agree(onBest validation: Double?, _ group: any WorkerGroup) throws -> Double? {
    var loss = validation ?? .nan
    try withUnsafeMutableBytes(of: &loss) { try group.broadcast($0, from: 0) }
    return loss.isNaN ? nil : loss
  }

  /// Why no step is left.
  var whatEnded: String {
    switch configuration.training.length {
    case .epochs(let epochs): "the run has its \(epochs) epochs; set training.epochs to more to continue it"
    case .steps(let steps): "the run has its \(grouped(steps)) steps; set training.steps to more to continue it"
    }
  }

  private var kindOfWorkers: String {
    guard group is MPIWorkers else { return "threads" }
    return exchange.sharesWeights ? "MPI ranks, shared memory" : "MPI ranks"
  }

  private func describeRun(_ journal: RunJournal, _ checkpoint: CheckpointReader?) {
    for line in task.description(resuming: checkpoint) { journal.say(line) }
    let kind = group.count == 1 ? "1 worker" : "\(group.count) workers (\(kindOfWorkers))"
    journal.say(
      "\(kind), \(plan.tree.count) gradient shards, \(weights.precision), "
        + "\(weights.arithmetic.instructionSet.name); run directory \(configuration.run.directory)")
    if !verification.isSettled { journal.say("the corpus's digests are verified during training") }
    journal.say(task.budget.text)
    if configuration.training.verifyEvery > 0, !hasOwnWeights {
      journal.say("training.verify_every compares nothing here: the workers have one copy of the weights")
    }
    guard let checkpoint else { return }
    journal.say("resuming from \(checkpoint.path): step \(grouped(position.step)), epoch \(position.epoch + 1)")
    let (header, precision) = (checkpoint.header, weights.precision.rawValue)
    let instructionSet = weights.arithmetic.instructionSet.name
    if let before = header.instructionSet, before != instructionSet || header.precision != precision {
      journal.say(
        "computed with \(before), \(header.precision ?? "f32") until now, and with \(instructionSet), "
          + "\(precision) from here on: the last bits will differ")
    }
    guard let saved = try? checkpoint.savedConfiguration() else { return }
    for difference in configuration.differences(from: saved) {
      journal.say(
        "changed since: \(difference.key) from \(difference.saved ?? "unset") to \(difference.requested ?? "unset")")
    }
    for change in scheduleChanges(since: saved, checkpoint.header) { journal.say(change) }
  }
}
