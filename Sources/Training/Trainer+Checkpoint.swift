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
  /// Writes a checkpoint of the current position; collective. The first worker gathers what it does not hold.
  func writeCheckpoint() throws {
    group.enter(.writingCheckpoint, step: position.step)
    try verification.settle()
    // The last update may have overflowed although loss and gradient were finite: such a checkpoint must not replace
    // good
    // ones. All workers hold the same weights, so all of them throw.
    guard hasFiniteWeights else {
      throw try divergence(after: .weights, "some weights are not finite numbers", loss: .nan)
    }
    StopSignal.promise = .stopAfterCheckpoint
    defer { StopSignal.promise = .stopAfterStep }
    let states = try gatherStates()
    let slots = try gatherSlots()
    try group.agreeing {
      guard let journal, var store else { return }
      // Metrics come before the checkpoint, which states where they end.
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
    let positions = task.streamPositions(window: position.window)
    if !positions.isEmpty { try writer.writeStreamPositions(positions) }
    if let journal { try writer.writeHistory(journal.history) }
    try writer.close()
  }

  private func header() throws -> CheckpointHeader {
    let vocabulary = corpus.vocabulary
    let trainingState = [
      "tokens": Double(position.tokens),
      CheckpointHeader.validationDue: validationIsDue ? 1 : 0,
      "skipped_steps": Double(skippedSteps), "skipped_in_a_row": Double(skippedInARow),
    ]
    .merging(task.trainingState) { mine, _ in mine }
    .merging(trend.state) { mine, _ in mine }
    .merging(journal?.state ?? [:]) { mine, _ in mine }
    var header = CheckpointHeader(
      step: position.step, epoch: position.epoch, window: position.window,
      seed: UInt64(configuration.training.seed), randomStream: task.randomStream, configuration: configuration.yaml,
      tokenizer: vocabulary.tokenizer.rawValue, vocabulary: vocabulary.tokens,
      unknownToken: vocabulary.unknown.map { vocabulary.tokens[Int($0)] },
      optimizer: exchange.optimizer.rule.name.rawValue, optimizerState: ["updates": Double(exchange.optimizer.updates)],
      schedule: configuration.schedule.name.rawValue, scheduleState: schedule.state, bestValidation: bestValidation,
      trainingState: trainingState, run: identity, validation: validationOfThisStep,
      corpusDigest: try corpus.contentDigest(),
      instructionSet: weights.arithmetic.instructionSet.name, precision: weights.precision.rawValue,
      metricsBytes: journal?.metrics.size)
    if !corpus.labels.isEmpty { header.labels = corpus.labels }
    return header
  }

  /// Restores the schedule, this worker's optimiser slots and its carried states.
  func restore(from checkpoint: CheckpointReader) throws {
    let header = checkpoint.header
    // The epoch ended without a validation, or a signal interrupted it.
    validationIsDue = position.epoch > header.epoch || header.isValidationDue
    lastCheckpoint = checkpoint.path
    // Absent from files of versions that stopped at the first non-finite step.
    skippedSteps = header.trainingState.count("skipped_steps") ?? 0
    skippedInARow = header.trainingState.count("skipped_in_a_row") ?? 0
    trend.restore(header.trainingState)
    if let key = schedule.restore(header.scheduleState) { throw checkpoint.incomplete("/training/schedule", key) }
    let optimizer = exchange.optimizer
    guard let updates = header.optimizerState.count("updates"), updates >= 0 else {
      throw checkpoint.incomplete("/optimizer", "updates")
    }
    optimizer.updates = updates
    // Plain SGD has no slots: a momentum that is added now starts from zero, as in a new run.
    if try !checkpoint.savedConfiguration().updateRule.slotNames.isEmpty {
      for (name, slot) in zip(optimizer.rule.slotNames, optimizer.slots) {
        try restore(slot, name, from: checkpoint)
      }
    }
    for state in replica.model.carried {
      let columns = state.values.columns
      let all = try FloatBuffer(count: plan.sequences * columns)
      try checkpoint.readStreamState(state.name, shape: [plan.sequences, columns], into: all.buffer)
      state.values.update(from: all.matrix(plan.sequences, columns).rows(plan.sequences(of: group.rank)))
    }
  }

  /// Restores the part of a slot in this worker's segment.
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

  /// A carried state of all sequences, [B, columns].
  struct GatheredState {
    let name: String
    let columns: Int
    let values: FloatBuffer
  }

  func gatherStates() throws -> [GatheredState] {
    try replica.model.carried.map { state in
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
    // A segment's size does not tell: in a small model one of several workers may own the whole arena.
    if exchange.keepsWholeSlots { return optimizer.slots }
    return try optimizer.slots.map { try gather($0.buffer, exchange.ownership.segments, count: count) }
  }

  /// Gathers the parts of all workers on the first; collective. The result is empty on the others.
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
