import Arena
import Failures
import Foundation
import Recurrent
import Workers

extension Trainer {
  /// Steps in a row that `training.on_nonfinite: skip` leaves out at most; the next one stops the run.
  package static let mostSkippedInARow = 9

  /// Decides on a step whose loss or gradient is not finite, before anything is updated; collective. All workers have
  /// the same outcome and the same weights, so all decide alike.
  ///
  /// - Throws: ``WorkerFailure`` unless the step is to be left out.
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
    let tree = model.batch.tree
    let report = NonFiniteReport(
      kind: !weightsAreFinite ? .weights : outcome.lossSum.isFinite ? .gradient : .loss, step: position.step + 1,
      epoch: position.epoch + 1, window: position.window, windowSteps: streams.steps(inWindow: position.window),
      streams: model.batch.globalStreams, loss: outcome.lossSum / Double(tokens), gradientNorm: outcome.gradientNorm,
      learningRate: learningRate, first: first,
      streamsWithoutFiniteLoss: joined(shards.map { model.batch.streams(ofShard: $0) }),
      workerOfFirstLoss: shards.first.flatMap { shard in
        (0..<group.count).first { tree.shards(ofWorker: $0, of: group.count).contains(shard) }
      },
      skippedInARow: skippedInARow, workers: group.count, exchange: configuration.training.exchange.rawValue,
      checkpoint: lastCheckpoint, configuration: configuration.yaml)
    throw divergence(
      what + inARow,
      at: "step \(position.step + 1) (epoch \(position.epoch + 1), learning rate \(learningRate))", report)
  }

  /// The error for weights, or a validation loss, that are not finite after a complete step; collective.
  func divergence(after kind: NonFiniteReport.Kind, _ what: String, loss: Double) throws -> WorkerFailure {
    let report = NonFiniteReport(
      kind: kind, step: position.step, epoch: position.isAtEpochEnd ? position.epoch : position.epoch + 1,
      window: position.window, windowSteps: streams.steps(inWindow: position.window),
      streams: model.batch.globalStreams, loss: loss, gradientNorm: nil, learningRate: nil,
      first: firstNonFiniteWeight(), streamsWithoutFiniteLoss: [], workerOfFirstLoss: nil,
      skippedInARow: skippedInARow, workers: group.count, exchange: configuration.training.exchange.rawValue,
      checkpoint: lastCheckpoint, configuration: configuration.yaml)
    return divergence(what, at: "step \(position.step)", report)
  }

  /// What all workers throw on NaN or infinity. The first worker writes the report.
  ///
  /// - Parameters:
  ///   - what: the value that is not finite, such as "the loss is infinite".
  ///   - place: the step and what else identifies it.
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
      // Nothing has been trained yet, so nothing can have diverged.
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
        ?? "no checkpoint was written before: start again with \(change)"
      failure = Failure(
        .softwareFault, "\(what), so the run has diverged", at: place, cause: cause, remedy: advice + details)
    }
    return WorkerFailure(rank: 0, message: "\(failure)", exitStatus: failure.exitStatus, failedEverywhere: true)
  }

  /// NaN and infinity in words: C prints NaN with a sign, which says nothing.
  static func words(_ value: Double) -> String {
    value.isNaN ? "not a number" : value.isInfinite ? "infinite" : "\(value)"
  }

  /// Whether all weights are finite: the same on every worker.
  var hasFiniteWeights: Bool { model.weights.parameters.values.buffer.allSatisfy(\.isFinite) }

  /// Makes the carried state of each local stream zero, in all layers, where some value of it is not finite.
  func clearNonFiniteStates() {
    let (states, size) = (model.states, model.weights.shape.hiddenSize)
    for stream in 0..<model.batch.streams.count {
      let range = (stream * size)..<((stream + 1) * size)
      guard states.contains(where: { state in range.contains { !state.values[$0].isFinite } }) else { continue }
      for state in states { for index in range { state.values[index] = 0 } }
    }
  }

  /// Notes a step that was left out.
  func didSkip(_ outcome: StepOutcome, step: Int) {
    clearNonFiniteStates()
    journal?.warn(
      "step \(grouped(step)) left out: the "
        + (outcome.lossSum.isFinite
          ? "norm of the gradient is \(Self.words(outcome.gradientNorm))" : "loss is \(Self.words(outcome.lossSum))")
        + (skippedInARow > 1 ? " (\(skippedInARow) in a row)" : ""))
  }

  /// Whether a validation loss is above both that of a uniform distribution over the vocabulary, ln V, and what the run
  /// began with.
  func isWorseThanNothing(_ natsPerToken: Double) -> Bool {
    natsPerToken > 1.01 * max(log(Double(model.weights.shape.vocabularySize)), trend.began ?? 0)
  }

  /// Says so at the end of a run whose loss has risen.
  func warnIfWorse() {
    guard trend.isWorse, let began = trend.began, let now = trend.now else { return }
    journal?.warn(
      "training ends worse than it began: the last steps have a loss of \(fixed(now, 4)) nats/token, the first had "
        + "\(fixed(began, 4)); start again with a smaller optimizer.learning_rate or training.clip_norm")
  }

  func firstNonFiniteWeight() -> NonFiniteReport.Place? {
    let weights = model.weights.parameters
    for parameter in weights.layout.parameters {
      if let row = Self.firstNonFiniteRow(weights.matrix(parameter.name)) {
        return .init(tensor: parameter.name, row: row, worker: nil)
      }
    }
    return nil
  }

  private static func firstNonFiniteRow(_ matrix: MatrixView) -> Int? {
    (0..<matrix.rows).first { row in
      let start = matrix.pointer + row * matrix.stride
      return (0..<matrix.columns).contains { !start[$0].isFinite }
    }
  }

  /// The first gradient that is not finite, in the order of the backward pass; collective.
  ///
  /// The sum over the workers stands in each worker's segment of its own gradient by now, so what is found there may be
  /// another worker's: one who has it elsewhere is named rather.
  private func firstNonFiniteGradient() throws -> NonFiniteReport.Place? {
    let shape = model.weights.shape
    let parameters = shape.layout.parameters
    let order =
      parameters.filter { $0.name.hasPrefix("decoder.") || $0.name == shape.decoderWeightName }
      + (0..<shape.layers).reversed().flatMap { layer in parameters.filter { $0.name.hasSuffix("_l\(layer)") } }
      + parameters.filter { $0.name == "encoder.weight" && !shape.tied }
    let segment = exchange.segments[group.rank]
    var found: [Int64] = [Int64.max, 0, 0]  // place in the order, row, whether it is in the worker's own segment
    search: for (index, parameter) in order.enumerated() {
      for gradient in model.gradients {
        guard let row = Self.firstNonFiniteRow(gradient.store.matrix(parameter.name)) else { continue }
        let start = parameter.offset + row * (parameter.shape.count == 2 ? parameter.shape[1] : parameter.count)
        found = [Int64(index), Int64(row), group.count > 1 && segment.contains(start) ? 1 : 0]
        break search
      }
    }
    if found[0] == .max, let row = firstNonFiniteRowOfTiedEmbedding() { found = [Int64(order.count), Int64(row), 0] }
    let all = try group.gather(found)
    func precedes(_ a: [Int64], _ b: [Int64]) -> Bool { (a[0], a[2]) < (b[0], b[2]) }
    guard let worker = all.indices.min(by: { precedes(all[$0], all[$1]) }), all[worker][0] != .max else { return nil }
    let (index, row) = (Int(all[worker][0]), Int(all[worker][1]))
    let name = index < order.count ? order[index].name : "encoder.weight"
    return .init(tensor: "gradient of \(name)", row: row, worker: worker)
  }

  private func firstNonFiniteRowOfTiedEmbedding() -> Int? {
    let shape = model.weights.shape
    for gradient in model.gradients {
      guard let values = gradient.tiedEmbedding else { continue }
      if let row = Self.firstNonFiniteRow(values.matrix(shape.vocabularySize, shape.embeddingSize)) { return row }
    }
    return nil
  }
}

/// Ranges that follow one another as one.
private func joined(_ ranges: [Range<Int>]) -> [Range<Int>] {
  ranges.reduce(into: []) { joined, range in
    if let last = joined.last, last.upperBound == range.lowerBound {
      joined[joined.count - 1] = last.lowerBound..<range.upperBound
    } else {
      joined.append(range)
    }
  }
}
