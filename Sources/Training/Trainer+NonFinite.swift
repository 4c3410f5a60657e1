import Exchange
import Failures
import Foundation
import Interfaces
import Parameters
import Workers

extension Trainer {
  /// The maximum number of consecutive steps that `training.on_nonfinite: skip` skips; the next one stops the run.
  package static let mostSkippedInARow = 9

  /// Handles a step whose loss or gradient is not finite, before any update; collective. All workers have the same
  /// outcome
  /// and the same weights, so all decide alike.
  ///
  /// - Throws: ``WorkerFailure`` unless the step is to be skipped.
  func meet(nonFinite outcome: StepOutcome, learningRate: Double, tokens: Int) throws {
    let weightsAreFinite = hasFiniteWeights
    if configuration.training.onNonFinite == .skip {
      skippedInARow += 1
      skippedSteps += 1
      if skippedInARow <= Self.mostSkippedInARow, weightsAreFinite { return }
    }
    let what =
      if !weightsAreFinite {
        "some weights are not finite numbers"
      } else if !outcome.lossSum.isFinite {
        "the loss is \(Self.words(outcome.lossSum))"
      } else {
        "the norm of the gradient is \(Self.words(outcome.gradientNorm))"
      }
    let inARow = skippedInARow > Self.mostSkippedInARow ? " in the tenth step in a row" : ""
    let first = weightsAreFinite ? try firstNonFiniteGradient() : firstNonFiniteWeight()
    let shards = exchange.shardLosses.enumerated().filter { !$1.isFinite }.map(\.offset)
    let report = NonFiniteReport(
      kind: !weightsAreFinite ? .weights : outcome.lossSum.isFinite ? .gradient : .loss, step: position.step + 1,
      epoch: position.epoch + 1, window: position.window,
      windowSteps: task.steps(epoch: position.epoch, index: position.window),
      streams: plan.sequences, loss: outcome.lossSum / Double(tokens), gradientNorm: outcome.gradientNorm,
      learningRate: learningRate, first: first,
      streamsWithoutFiniteLoss: joined(shards.map { plan.sequences(ofShard: $0, in: plan.sequences) }),
      workerOfFirstLoss: shards.first.flatMap { shard in
        (0..<group.count).first { plan.shards(of: $0).contains(shard) }
      },
      skippedInARow: skippedInARow, workers: group.count, exchange: configuration.training.exchange.rawValue,
      checkpoint: lastCheckpoint, configuration: configuration.yaml)
    throw divergence(
      what + inARow,
      at: "step \(position.step + 1) (epoch \(position.epoch + 1), learning rate \(learningRate))", report)
  }

  /// The error for weights or a validation loss that are not finite after a complete step; called by all workers.
  func divergence(after kind: NonFiniteReport.Kind, _ what: String, loss: Double) throws -> WorkerFailure {
    let report = NonFiniteReport(
      kind: kind, step: position.step, epoch: position.isAtEpochEnd ? position.epoch : position.epoch + 1,
      window: position.window, windowSteps: task.steps(epoch: position.epoch, index: position.window),
      streams: plan.sequences, loss: loss, gradientNorm: nil, learningRate: nil,
      first: firstNonFiniteWeight(), streamsWithoutFiniteLoss: [], workerOfFirstLoss: nil,
      skippedInARow: skippedInARow, workers: group.count, exchange: configuration.training.exchange.rawValue,
      checkpoint: lastCheckpoint, configuration: configuration.yaml)
    return divergence(what, at: "step \(position.step)", report)
  }

  /// The error that all workers throw on NaN or infinity. The first worker also writes the report.
  ///
  /// - Parameters:
  ///   - what: what is not finite, such as "the loss is infinite".
  ///   - place: the step, with details.
  private func divergence(_ what: String, at place: String, _ report: NonFiniteReport) -> WorkerFailure {
    var cause: String?
    if let first = report.first {
      let worker = first.worker.flatMap { group.count > 1 ? " of worker \($0)" : nil } ?? ""
      cause = "first in row \(first.row) of the \(first.tensor)\(worker)"
    }
    let directory = configuration.run.directory
    var details = ""
    if purpose == .run {
      if group.rank == 0 { _ = try? report.write(in: directory) }
      let path = "\(directory)/\(NonFiniteReport.fileName(step: report.step))"
      details = "; 'lockstep train --replay \(path)' finds the first value that is not finite"
    }
    let failure: Failure
    if exchange.optimizer.updates == 0 {
      // Nothing has been trained yet, so the initial weights are the cause.
      let weights =
        configuration.model.initialParameters.map { "the weights in \($0) (model.initial_parameters)" }
        ?? "model.initial_range"
      failure = Failure(
        .softwareFault, "\(what), before any update of the weights", at: place, cause: cause,
        remedy: "look at \(weights)\(details)")
    } else {
      let change =
        "a smaller optimizer.learning_rate or "
        + (configuration.training.clipNorm > 0 ? "training.clip_norm" : "with training.clip_norm, which is off")
      let advice =
        lastCheckpoint.map { "\($0) is intact: resume from it with \(change)" }
        ?? "there is no earlier checkpoint: start again with \(change)"
      failure = Failure(
        .softwareFault, "\(what), so the run has diverged", at: place, cause: cause, remedy: advice + details)
    }
    return WorkerFailure(rank: 0, message: "\(failure)", exitStatus: failure.exitStatus, failedEverywhere: true)
  }

  /// NaN and infinity in words; C prints NaN with a sign, which has no meaning.
  static func words(_ value: Double) -> String {
    value.isNaN ? "not a number" : value.isInfinite ? "infinite" : "\(value)"
  }

  /// Whether all weights are finite; the same on every worker.
  var hasFiniteWeights: Bool { weights.store.values.buffer.allSatisfy(\.isFinite) }

  /// Sets the carried state of a local stream to zero, in all layers, if any of its values is not finite.
  func clearNonFiniteStates() {
    let states = replica.model.carried.map(\.values)
    for stream in 0..<(states.first?.rows ?? 0) {
      let rows = states.map { $0.rows(stream..<(stream + 1)) }
      if rows.contains(where: { $0.firstNonFiniteRow != nil }) { for row in rows { row.fill(0) } }
    }
  }

  /// Handles a skipped step: clears states that are not finite and logs a warning.
  func didSkip(_ outcome: StepOutcome, step: Int) {
    clearNonFiniteStates()
    journal?.warn(
      "step \(grouped(step)) left out: the "
        + (outcome.lossSum.isFinite
          ? "norm of the gradient is \(Self.words(outcome.gradientNorm))" : "loss is \(Self.words(outcome.lossSum))")
        + (skippedInARow > 1 ? " (\(skippedInARow) in a row)" : ""))
  }

  /// Whether a validation loss exceeds both the loss of a uniform distribution over the classes and the run's first
  /// losses.
  func isWorseThanNothing(_ natsPerToken: Double) -> Bool {
    natsPerToken > 1.01 * max(task.uninformedLoss, trend.began ?? 0)
  }

  /// Warns at the end of a run whose loss has risen.
  func warnIfWorse() {
    guard trend.isWorse, let began = trend.began, let now = trend.now else { return }
    journal?.warn(
      "training ends worse than it began: the last steps have a loss of \(fixed(now, 4)) nats/token, the first had "
        + "\(fixed(began, 4)); start again with a smaller optimizer.learning_rate or training.clip_norm")
  }

  func firstNonFiniteWeight() -> NonFiniteReport.Place? {
    for parameter in weights.layout.parameters {
      if let row = weights.matrix(parameter).firstNonFiniteRow {
        return .init(tensor: parameter.name, row: row, worker: nil)
      }
    }
    return nil
  }

  /// The first gradient that is not finite, in the order of the backward pass; collective.
  ///
  /// By now each worker's segment of its gradient holds the sum over all workers, so a value found there may come from
  /// another worker: a worker that has one outside its segment takes precedence.
  private func firstNonFiniteGradient() throws -> NonFiniteReport.Place? {
    let segment = exchange.ownership.segments[group.rank]
    var found: [Int64] = [Int64.max, 0, 0]  // addend, row, whether it is in the worker's own segment
    search: for (index, addend) in replica.model.addends.enumerated() {
      for gradient in replica.model.gradients {
        guard var row = gradient.matrix(index).firstNonFiniteRow else { continue }
        if addend.rows == .listed { row = Int(gradient.touched[index][row]) }
        let isSummed =
          addend.rows == .all && segment.contains(addend.parameter.offset + row * addend.parameter.columns)
        found = [Int64(index), Int64(row), group.count > 1 && isSummed ? 1 : 0]
        break search
      }
    }
    let all = try group.gather(found)
    func precedes(_ a: [Int64], _ b: [Int64]) -> Bool { (a[0], a[2]) < (b[0], b[2]) }
    guard let worker = all.indices.min(by: { precedes(all[$0], all[$1]) }), all[worker][0] != .max else { return nil }
    let name = replica.model.addends[Int(all[worker][0])].parameter.name
    return .init(tensor: "gradient of \(name)", row: Int(all[worker][1]), worker: worker)
  }
}

extension MatrixView {
  /// The first row with a value that is NaN or infinite; nil if all are finite.
  fileprivate var firstNonFiniteRow: Int? {
    (0..<rows).first { row in
      let start = pointer + row * stride
      return (0..<columns).contains { !start[$0].isFinite }
    }
  }
}

/// Merges adjacent ranges.
private func joined(_ ranges: [Range<Int>]) -> [Range<Int>] {
  ranges.reduce(into: []) { joined, range in
    if let last = joined.last, last.upperBound == range.lowerBound {
      joined[joined.count - 1] = last.lowerBound..<range.upperBound
    } else {
      joined.append(range)
    }
  }
}
