import Checkpoints
import Configuration
import Corpus
import Exchange
import Failures
import Foundation
import Interfaces
import Kernels
import Logging
import Models
import Optimizers
import Parameters
import Sharding
import Signals
import Workers

/// Trains a model as one of a group of workers: the same code for a single process, threads and MPI ranks.
///
/// In each step every worker computes the gradients of its sequences; the exchange sums them, along the fixed tree by
/// default, and updates the weights of all workers alike. The first worker keeps the journal and writes the
/// checkpoints.
package final class Trainer {
  /// How a run ended.
  package struct Summary: Sendable, Equatable {
    package var position: TrainingPosition
    /// The last validation, if there was one.
    package var validation: Evaluation?
    /// The customary unit of losses for this corpus.
    package var lossUnit: LossUnit
    /// SHA-256 of the weights.
    package var weightDigest: String
    /// Whether a signal ended the run early; a checkpoint was then written.
    package var wasStopped: Bool
    /// The floats in this worker's optimiser slots; for tests.
    package var slotFloats: Int
  }

  /// What a trainer is for.
  package enum Purpose: Sendable {
    case run
    /// Computes like a run, but writes nothing.
    case trial
  }

  let group: any WorkerGroup
  let purpose: Purpose
  let configuration: RunConfiguration
  let corpus: CorpusReader
  package let task: any TrainingTask
  let totalSteps: Int
  var position = TrainingPosition()
  var schedule: Schedule
  var bestValidation: Double?
  /// The path of the checkpoint that this run last wrote or resumed from; the same on every worker.
  var lastCheckpoint: String?
  /// Skipped steps (`training.on_nonfinite`): all since the run began, and the latest consecutive ones.
  var skippedSteps = 0
  var skippedInARow = 0
  var trend = LossTrend()
  /// The last step after which the workers' weights were found to be equal.
  var verifiedStep = 0
  /// Non-nil only on the first worker, like `identity`, `journal` and `store`.
  private let directory: RunDirectory?
  var identity: RunIdentity?
  var journal: RunJournal?
  var store: CheckpointStore?
  let logger: Logger
  /// For tests that corrupt a step: called after each pass, before gradients are exchanged.
  package var didPass: ((_ step: Int, _ model: any GradientModel) -> Void)?
  private var lastValidation: Evaluation?
  /// Settled before any checkpoint or validation is recorded.
  let verification: CorpusVerification
  /// Whether the current step still has to be validated.
  var validationIsDue = false

  package var replica: any WorkerReplica { task.replica }
  var plan: BatchPlan { replica.plan }
  var weights: PackedParameters { replica.weights }
  var exchange: any GradientExchange { replica.exchange }

  /// Creates one worker's trainer; collective. Every worker passes the same arguments.
  ///
  /// - Parameters:
  ///   - resume: `latest`, `best` or the path of a checkpoint to resume from; `auto` for the latest if there is one;
  ///     nil
  ///     for a new run.
  ///   - breakingLock: whether to take the run directory's lock from its holder.
  ///   - arithmetic: the same on every worker.
  ///   - logger: used on the first worker only.
  ///   - digestPatience: how long to wait for the corpus's digests before training begins concurrently.
  /// - Throws: ``WorkerFailure``, the same on all workers, if configuration, corpus, checkpoint or directory is
  ///   unsuitable.
  package init(
    _ group: any WorkerGroup, configuration: RunConfiguration, resume: String? = nil, breakingLock: Bool = false,
    purpose: Purpose = .run,
    arithmetic: Arithmetic, logger: Logger, digestPatience: Duration = CorpusVerification.patience
  ) throws {
    (self.group, self.purpose, self.configuration, self.logger) = (group, purpose, configuration, logger)
    let limit = configuration.training.stallTimeout
    group.setStallLimit(
      limit > 0 ? limit : nil, named: "training.stall_timeout",
      remedy: "the last checkpoint is intact: continue with --resume latest")
    let training = configuration.training
    try group.compare(configuration.fingerprint(resuming: resume))
    // A stop signal before anything has been written ends the run at once, here and below.
    try group.agreeing {
      try StopSignal.check()
      try Self.checkWorkers(group.count, configuration)
      try arithmetic.check(training.precision, at: "training.precision")
    }
    directory = try group.agreeing {
      guard group.rank == 0, purpose == .run else { return nil }
      return try RunDirectory(configuration.run.directory, breakingLock: breakingLock) { logger.info("\($0)") }
    }
    let resume = try Self.settle(resume, group, configuration)
    let corpus = try group.agreeing {
      try CorpusReader(directory: configuration.data.corpus, for: configuration.task)
    }
    let checkpoint = try resume.map { try CheckpointReader.open($0, in: configuration.run.directory, by: group) }
    try group.agreeing { if let checkpoint { try Self.check(checkpoint, configuration, corpus) } }
    try group.compare(
      corpus, initialParameters: checkpoint == nil ? configuration.model.initialParameters : nil)
    self.corpus = corpus
    let task: any TrainingTask =
      switch configuration.task {
      case .languageModel: try LanguageModelTask(group, configuration, corpus, arithmetic, resuming: checkpoint)
      case .tagging: try TaggingTask(group, configuration, corpus, arithmetic, resuming: checkpoint)
      }
    self.task = task
    verification = try CorpusVerification(group, corpus, reading: task.reading)
    if let checkpoint { position = try group.agreeing { try task.position(of: checkpoint) } }
    totalSteps = training.length.totalSteps(windows: task.batchesPerEpoch, from: position)
    try group.agreeing { [totalSteps] in try configuration.checkSchedule(totalSteps: totalSteps) }
    schedule = configuration.learningRateSchedule(totalSteps: totalSteps)
    try verification.settle(atMost: digestPatience)
    try group.agreeing {
      try StopSignal.check()
      if let checkpoint { try restore(from: checkpoint) }
      if let directory { try open(directory, resuming: checkpoint) }
      if let loaded = task.initialParameters { journal?.say(loaded) }
    }
    guard purpose == .run else { return }
    bestValidation = try Self.agree(onBest: store?.best?.validation, group)
    try warnOfCrowdedHosts()
  }

  /// Trains to the end of the configured epochs or steps, or until a stop signal; collective.
  ///
  /// - Throws: ``WorkerFailure``, the same on all workers.
  package func run() throws -> Summary {
    defer { directory?.close() }
    do {
      return try train()
    } catch {
      // The metrics that led to the failure should be on disk; an error of flush must not hide the failure.
      try? journal?.flush()
      throw error
    }
  }

  private func train() throws -> Summary {
    precondition(purpose == .run, "a trial is made step by step")
    let clock = ContinuousClock()
    StopSignal.promise = .stopAfterStep
    // A signal during setup stops the run before its first step.
    var wasStopped = try group.stopRequested()
    if position.step >= totalSteps { journal?.say("nothing is left to train: \(whatEnded)") }
    if validationIsDue {
      if !wasStopped { _ = try validate() }
      wasStopped = validationIsDue
      // Replaces the checkpoint that says that the validation is due.
      try writeCheckpoint()
    } else if wasStopped {
      try writeCheckpoint()
    }
    while position.step < totalSteps, !wasStopped {
      let start = clock.now
      group.enter(.training, step: position.step + 1)
      if position.window == 0 { replica.resetStates() }
      let (rate, epoch) = (schedule.rate(step: position.step, epoch: position.epoch), position.epoch + 1)
      let tokens = task.targets(epoch: position.epoch, index: position.window)
      let outcome = try step(learningRate: rate, tokens: tokens)
      let isSkipped = !outcome.isFinite
      if isSkipped {
        didSkip(outcome, step: position.step + 1)
      } else {
        skippedInARow = 0
        trend.add(outcome.lossSum / Double(tokens))
      }
      position.advance(tokens: tokens, windows: task.batchesPerEpoch)
      wasStopped = outcome.stopRequested

      group.enter(.recording, step: position.step)
      if let journal {
        let seconds = (clock.now - start) / .seconds(1)
        let record = StepRecord(
          step: position.step, epoch: epoch, loss: outcome.lossSum / Double(tokens), tokens: position.tokens,
          tokensPerSecond: Double(tokens) / seconds, gradientNorm: outcome.gradientNorm, learningRate: rate,
          isSkipped: isSkipped)
        try group.alone {
          try journal.record(record, tokens: tokens, seconds: seconds, endsEpoch: position.isAtEpochEnd)
        }
      }
      let interval = configuration.training.verifyEvery
      if interval > 0, position.step % interval == 0, hasOwnWeights { try verifyWeights() }
      var isBest = false
      if isDue(every: configuration.training.validateEvery) {
        validationIsDue = task.canValidate
        if !wasStopped { isBest = try validate() }
        wasStopped = wasStopped || validationIsDue
      }
      if isBest || wasStopped || isDue(every: configuration.training.checkpointEvery) {
        try writeCheckpoint()
        // This checkpoint also serves a stop requested meanwhile.
        if !wasStopped { wasStopped = try group.stopRequested() }
      }
    }
    group.enter(.ending, step: position.step)
    try group.agreeing {
      try journal?.flush()
      // Fail if the directory was taken over, so that success means that the files are there.
      try directory?.check()
    }
    warnIfWorse()
    return Summary(
      position: position, validation: lastValidation,
      lossUnit: LossUnit(corpus),
      weightDigest: weights.store.digest,
      wasStopped: wasStopped && (position.step < totalSteps || validationIsDue),
      slotFloats: exchange.optimizer.slots.reduce(0) { $0 + $1.count })
  }

  /// One optimiser step over the batch at the current position.
  func step(learningRate: Double, tokens: Int) throws -> StepOutcome {
    let position = position
    let losses = task.pass(
      at: BatchPosition(epoch: position.epoch, index: position.window, step: position.step)
    ) {
      try verification.check()
    } didPass: {
      didPass?(position.step + 1, $0)
    }
    let scale =
      switch configuration.training.lossReduction {
      case .tokenMean: 1 / Double(tokens)
      case .windowSum: 1 / Double(configuration.sequences)
      }
    group.enter(.exchanging, step: position.step + 1)
    let update = Update(scale: scale, clipNorm: configuration.training.clipNorm, learningRate: learningRate)
    return try replica.exchange.complete(update, losses: losses) { outcome in
      if !outcome.isFinite { try meet(nonFinite: outcome, learningRate: learningRate, tokens: tokens) }
      return outcome.isFinite
    }
  }

  /// Whether an action that happens every `interval` steps, at epoch ends and at the end of the run is due now.
  func isDue(every interval: Int) -> Bool {
    position.isAtEpochEnd || position.step == totalSteps || (interval > 0 && position.step % interval == 0)
  }

  /// Validates; collective. A stop signal interrupts the validation, which then stays due.
  ///
  /// - Returns: whether the loss is the lowest so far.
  func validate() throws -> Bool {
    guard task.canValidate else {
      validationIsDue = false
      return false
    }
    group.enter(.validating, step: position.step)
    StopSignal.promise = .breakOffValidation
    defer { StopSignal.promise = .stopAfterStep }
    let outcome = try task.validate { [journal] share in
      journal?.show("validating: \(Int(share * 100)) %")
    }
    guard let result = outcome else { return false }
    try verification.settle()
    validationIsDue = false
    guard result.natsPerToken.isFinite else {
      throw try divergence(
        after: .validationLoss, "the validation loss is \(Self.words(result.natsPerToken))", loss: result.natsPerToken)
    }
    lastValidation = result
    schedule.observe(validation: result.natsPerToken)
    let isBest = result.natsPerToken < bestValidation ?? .infinity
    if isBest { bestValidation = result.natsPerToken }
    let record = ValidationRecord(
      step: position.step, epoch: position.isAtEpochEnd ? position.epoch : position.epoch + 1,
      natsPerToken: result.natsPerToken, accuracy: result.scores.accuracy, f1: result.scores.f1)
    if let journal {
      let isUseless = isWorseThanNothing(result.natsPerToken)
      try group.alone { try journal.record(record, isBest: isBest && !isUseless) }
      if isUseless { journal.warn("a uniform distribution has a lower validation loss") }
    }
    validatedStep = position.step
    return isBest
  }

  /// The step of the last validation; only a checkpoint of the same step is ranked by its loss.
  var validatedStep = -1
  var validationOfThisStep: Double? { validatedStep == position.step ? lastValidation?.natsPerToken : nil }
}
