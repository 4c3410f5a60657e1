import Checkpoints
import Corpus
import Failures
import Foundation
import Interfaces
import Kernels
import Parameters
import Signals
import Workers

extension Trainer {
  /// How dropout and initial weights draw random numbers: with the seed and the step, the whole random state.
  private static let randomStream = "philox4x32-10 keyed by seed, step, stream, layer and time step"

  /// Writes a checkpoint of this moment; collective. The first worker gathers what it does not hold.
  func writeCheckpoint() throws {
    group.enter(.writingCheckpoint, step: position.step)
    try verification.settle()
    // The last update may have overflowed where loss and gradient had not: the good checkpoints must not make room for
    // this. All workers hold the same weights, so all of them throw.
    guard hasFiniteWeights else {
      throw try divergence(after: .weights, "some weights are not finite numbers", loss: .nan)
    }
    StopSignal.promise = .stopAfterCheckpoint
    defer { StopSignal.promise = .stopAfterStep }
    let states = try gatherStates()
    let slots = try gatherSlots()
    try group.agreeing {
      guard let journal, var store else { return }
      // Metrics before the checkpoint that states where they end.
      try journal.synchronize()
      journal.show("writing a checkpoint")
      let path = store.path(step: position.step)
      try write(to: path, states: states, slots: slots)
      try store.didWrite(step: position.step, validation: validationOfThisStep)
      self.store = store
      journal.say("wrote \(path)")
    }
    lastCheckpoint = CheckpointStore.path(step: position.step, in: configuration.run.directory)
  }

  private func write(to path: String, states: [GatheredState], slots: [FloatBuffer]) throws {
    let layout = weights.layout
    var writer = try CheckpointWriter(path: path, header: try header())
    for parameter in layout.parameters {
      try writer.writeParameter(
        parameter.name, shape: parameter.shape, UnsafeBufferPointer(weights.store[parameter]),
        gateOrder: parameter.gateOrder)
    }
    for (name, slot) in zip(exchange.optimizer.rule.slotNames, slots) {
      for parameter in layout.parameters {
        try writer.writeSlot(
          name, parameter: parameter.name, shape: parameter.shape, UnsafeBufferPointer(slot[parameter.range]))
      }
    }
    for state in states {
      try writer.writeStreamState(
        state.name, shape: [plan.sequences, state.columns], UnsafeBufferPointer(state.values.buffer))
    }
    let layoutOfStreams = source.streams.layout
    try writer.writeStreamPositions(
      (0..<plan.sequences).map { stream in
        let done = min(position.window * layoutOfStreams.window, layoutOfStreams.predictions(of: stream))
        return Int64(layoutOfStreams.start(of: stream) + done)
      })
    if let journal { try writer.writeHistory(journal.history) }
    try writer.close()
  }

  private func header() throws -> CheckpointHeader {
    let vocabulary = corpus.vocabulary
    let trainingState = [
      "tokens": Double(position.tokens), "corpus_tokens": Double(source.streams.layout.tokens),
      CheckpointHeader.validationDue: validationIsDue ? 1 : 0,
      "skipped_steps": Double(skippedSteps), "skipped_in_a_row": Double(skippedInARow),
    ]
    .merging(trend.state) { mine, _ in mine }
    .merging(journal?.state ?? [:]) { mine, _ in mine }
    return CheckpointHeader(
      step: position.step, epoch: position.epoch, window: position.window,
      seed: UInt64(configuration.training.seed), randomStream: Self.randomStream, configuration: configuration.yaml,
      tokenizer: vocabulary.tokenizer.rawValue, vocabulary: vocabulary.tokens,
      unknownToken: vocabulary.unknown.map { vocabulary.tokens[Int($0)] },
      optimizer: exchange.optimizer.rule.name.rawValue, optimizerState: ["updates": Double(exchange.optimizer.updates)],
      schedule: configuration.schedule.name.rawValue, scheduleState: schedule.state, bestValidation: bestValidation,
      trainingState: trainingState, run: identity, validation: validationOfThisStep,
      corpusDigest: try corpus.contentDigest(),
      instructionSet: weights.arithmetic.instructionSet.name, precision: weights.precision.rawValue,
      metricsBytes: journal?.metrics.size)
  }

  /// Where a run continues from a checkpoint.
  ///
  /// Version 1 trained on the last tokens of an epoch, which are left out now: a position among them is the start of the
  /// next epoch.
  /// - Throws: ``Failure`` (bad data) for another corpus, or a position that it does not have.
  static func position(
    of checkpoint: CheckpointReader, in layout: StreamLayout, _ corpus: CorpusReader
  ) throws -> TrainingPosition {
    let header = checkpoint.header
    var (epoch, window) = (header.epoch, header.window)
    if checkpoint.seal.formatVersion < 2 {
      let earlier = try StreamLayout(
        tokens: layout.tokens, streams: layout.streams, window: layout.window, remainder: .kept)
      if (layout.windowCount..<earlier.windowCount).contains(window) { (epoch, window) = (epoch + 1, 0) }
    }
    guard header.step >= 0, epoch >= 0, (0..<layout.windowCount).contains(window) else {
      throw Failure(
        .badData, "it stands at window \(header.window) of epoch \(header.epoch + 1), which this corpus does not have",
        at: checkpoint.path, remedy: "give the corpus that the run was started with as data.corpus")
    }
    // With another length every stream but the first would go on somewhere else in the text.
    if let tokens = header.trainingState.count("corpus_tokens"), tokens != layout.tokens {
      throw Failure(
        .badData,
        "the run was trained on \(tokens) tokens, and the corpus \(corpus.directory) has \(layout.tokens)",
        at: checkpoint.path,
        remedy: "give the corpus that the run was started with as data.corpus, or start a new run with this checkpoint "
          + "as model.initial_parameters")
    }
    // The digest is of the tokens: shards and path may have changed. Files of version 1 know no more than the length.
    if let digest = header.corpusDigest, try corpus.contentDigest() != digest {
      throw Failure(
        .badData, "the run was trained on another text than the corpus \(corpus.directory) has, of the same vocabulary",
        at: checkpoint.path,
        remedy: "give the corpus that the run was started with as data.corpus, or start a new run with this checkpoint "
          + "as model.initial_parameters")
    }
    return TrainingPosition(
      step: header.step, epoch: epoch, window: window, tokens: try checkpoint.trainingCount("tokens"))
  }

  /// Restores schedule, this worker's optimiser slots and states.
  func restore(from checkpoint: CheckpointReader) throws {
    let header = checkpoint.header
    // The epoch ended without its validation, or a signal broke it off.
    validationIsDue = position.epoch > header.epoch || header.isValidationDue
    lastCheckpoint = checkpoint.path
    // Absent from files of versions that stopped at the first such step.
    skippedSteps = header.trainingState.count("skipped_steps") ?? 0
    skippedInARow = header.trainingState.count("skipped_in_a_row") ?? 0
    trend.restore(header.trainingState)
    if let key = schedule.restore(header.scheduleState) { throw checkpoint.incomplete("/training/schedule", key) }
    let optimizer = exchange.optimizer
    guard let updates = header.optimizerState.count("updates"), updates >= 0 else {
      throw checkpoint.incomplete("/optimizer", "updates")
    }
    optimizer.updates = updates
    // Plain SGD keeps nothing: a momentum that is switched on now starts from zero, as in a new run.
    if try !checkpoint.savedConfiguration().updateRule.slotNames.isEmpty {
      for (name, slot) in zip(optimizer.rule.slotNames, optimizer.slots) {
        try restore(slot, name, from: checkpoint)
      }
    }
    for state in model.carried {
      let columns = state.values.columns
      let all = try FloatBuffer(count: plan.sequences * columns)
      try checkpoint.readStreamState(state.name, shape: [plan.sequences, columns], into: all.buffer)
      state.values.update(from: all.matrix(plan.sequences, columns).rows(plan.sequences(of: group.rank)))
    }
  }

  /// The part of a slot that lies in this worker's segment.
  private func restore(_ slot: FloatBuffer, _ name: String, from checkpoint: CheckpointReader) throws {
    let segment = exchange.optimizer.segment
    for parameter in weights.layout.parameters {
      let part = parameter.range.clamped(to: segment)
      guard !part.isEmpty else { continue }
      let whole = try FloatBuffer(count: parameter.count)
      try checkpoint.readSlot(name, parameter: parameter.name, shape: parameter.shape, into: whole.buffer)
      _ = slot[(part.lowerBound - segment.lowerBound)..<(part.upperBound - segment.lowerBound)].update(
        fromContentsOf: whole[(part.lowerBound - parameter.offset)..<(part.upperBound - parameter.offset)])
    }
  }

  /// A state of all streams, [B, columns].
  struct GatheredState {
    let name: String
    let columns: Int
    let values: FloatBuffer
  }

  func gatherStates() throws -> [GatheredState] {
    try model.carried.map { state in
      let columns = state.values.columns
      let ranges = (0..<group.count).map { worker in
        let sequences = plan.sequences(of: worker)
        return (sequences.lowerBound * columns)..<(sequences.upperBound * columns)
      }
      let own = UnsafeMutableBufferPointer(start: state.values.pointer, count: state.values.rows * columns)
      return GatheredState(
        name: state.name, columns: columns, values: try gather(own, ranges, count: plan.sequences * columns))
    }
  }

  func gatherSlots() throws -> [FloatBuffer] {
    let count = weights.layout.count
    let optimizer = exchange.optimizer
    // Not a question of one worker's segment: in a small model one of several may own all of it.
    if exchange.keepsWholeSlots { return optimizer.slots }
    return try optimizer.slots.map { try gather($0.buffer, exchange.ownership.segments, count: count) }
  }

  /// Brings the parts of all workers together on the first; collective. Elsewhere the result is empty.
  private func gather(
    _ part: UnsafeMutableBufferPointer<Float>, _ ranges: [Range<Int>], count: Int
  ) throws -> FloatBuffer {
    let isFirst = group.rank == 0
    let whole = try group.agreeing { try FloatBuffer(count: isFirst ? count : 0) }
    let nothing = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    try group.exchange(
      sending: (0..<group.count).map {
        UnsafeRawBufferPointer($0 == 0 ? UnsafeMutableRawBufferPointer(part) : nothing)
      },
      receiving: ranges.map { isFirst ? UnsafeMutableRawBufferPointer(whole[$0]) : nothing })
    return whole
  }
}
