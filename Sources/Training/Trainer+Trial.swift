import Exchange
import Parameters
import Workers

extension Trainer {
  /// Computes the next steps like ``run()``, but writes nothing; collective.
  ///
  /// - Parameters:
  ///   - last: the last step to compute; a trial ends with the run in any case.
  ///   - willStep: called before each step with its number, from 1.
  ///   - didStep: called after each step with its number and outcome.
  /// - Throws: ``WorkerFailure``, as ``run()``, and what `didStep` throws.
  package func trial(
    through last: Int, willStep: (Int) -> Void = { _ in }, didStep: (Int, StepOutcome) throws -> Void
  ) throws {
    precondition(purpose == .trial, "a trainer that was made for a run")
    if validationIsDue, case .plateau = schedule.kind { _ = try validate() }
    while position.step < min(last, totalSteps) {
      willStep(position.step + 1)
      if position.window == 0 { replica.resetStates() }
      let rate = schedule.rate(step: position.step, epoch: position.epoch)
      let tokens = task.targets(epoch: position.epoch, index: position.window)
      let outcome = try step(learningRate: rate, tokens: tokens)
      if outcome.isFinite { skippedInARow = 0 } else { didSkip(outcome, step: position.step + 1) }
      position.advance(tokens: tokens, windows: task.batchesPerEpoch)
      try didStep(position.step, outcome)
      // Only a plateau schedule depends on validations.
      if case .plateau = schedule.kind, isDue(every: configuration.training.validateEvery) { _ = try validate() }
    }
  }

  /// The weights and this worker's optimiser slots, by name, in the order in which differences are reported.
  package var tensors: [(name: String, values: UnsafeMutableBufferPointer<Float>)] {
    let parameters = weights.store
    let optimizer = exchange.optimizer
    return parameters.layout.parameters.map { ($0.name, parameters[$0]) }
      + zip(optimizer.rule.slotNames, optimizer.slots).flatMap { name, slot in
        parameters.layout.parameters.compactMap { parameter in
          let part = parameter.range.clamped(to: optimizer.segment)
          let start = optimizer.segment.lowerBound
          return part.isEmpty
            ? nil : ("\(name) of \(parameter.name)", slot[(part.lowerBound - start)..<(part.upperBound - start)])
        }
      }
  }

  /// The digests of the weights and of all workers' slots and states; collective. Empty except on the first worker.
  package func stateDigests() throws -> [Verification.TensorDigest] {
    let (slots, states) = (try gatherSlots(), try gatherStates())
    guard group.rank == 0 else { return [] }
    let parameters = weights.layout.parameters
    func digests(_ values: FloatBuffer, _ name: (String) -> String) -> [Verification.TensorDigest] {
      parameters.map { .init(name: name($0.name), digest: digest(of: values[$0.range])) }
    }
    return digests(weights.store.values) { $0 }
      + zip(exchange.optimizer.rule.slotNames, slots).flatMap { slot, values in
        digests(values) { "\(slot) of \($0)" }
      } + states.map { .init(name: $0.name, digest: digest(of: $0.values.buffer)) }
  }
}
