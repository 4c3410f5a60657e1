import Checkpoints
import Corpus
import Files
import Foundation
import Logging

/// What a run tells the world: progress on the terminal or in lines, `metrics.jsonl`, and the history of a checkpoint.
/// Only the first worker has one.
final class RunJournal {
  private let metrics: MetricsFile
  private let logger: Logger
  private let progress: ProgressLine
  private let isTerminal: Bool
  private let unit: LossUnit
  private let logEvery: Int
  private let firstStep: Int
  private let totalSteps: Int
  private let clock = ContinuousClock()
  private let start: ContinuousClock.Instant

  private var interval = Interval()
  private var train = TrainColumns()
  private var valid = ValidColumns()

  init(
    directory: String, from step: Int, totalSteps: Int, logEvery: Int, unit: LossUnit, history: History,
    state: [String: Double], logger: Logger, isTerminal: Bool = StandardError.isTerminal
  ) throws {
    metrics = try MetricsFile(directory: directory, keepingUpTo: step)
    self.logger = logger
    self.isTerminal = isTerminal
    progress = ProgressLine(isShown: isTerminal)
    self.unit = unit
    self.logEvery = logEvery
    self.totalSteps = totalSteps
    firstStep = step
    start = clock.now
    train.restore(history.train)
    valid.restore(history.valid)
    interval = Interval(state)
  }

  /// Notes one step. `seconds` is what it took.
  func record(_ record: StepRecord, tokens: Int, seconds: Double) throws {
    try metrics.append(record)
    // A step that was left out has no loss to count.
    guard !record.isSkipped else { return }
    interval.loss += record.loss
    interval.steps += 1
    interval.tokens += tokens
    interval.seconds += seconds
    if isTerminal { progress.update(line(record)) }
    guard record.step % logEvery == 0 || record.step == totalSteps else { return }
    if !isTerminal { logger.info("\(line(record))") }
    var mean = record
    mean.loss = interval.loss / Double(interval.steps)
    mean.tokensPerSecond = Double(interval.tokens) / interval.seconds
    train.append(mean)
    interval = Interval()
  }

  /// Notes one validation.
  func record(_ record: ValidationRecord, isBest: Bool) throws {
    try metrics.append(record)
    valid.append(record)
    say(
      "step \(grouped(record.step)), epoch \(record.epoch): validation loss \(fixed(record.natsPerToken, 4)) nats/token, "
        + unit.text(record.natsPerToken) + (isBest ? " (best so far)" : ""))
  }

  /// Prints a line, above the progress line where there is one.
  func say(_ text: String) {
    progress.clear()
    logger.info("\(text)")
  }

  /// As ``say(_:)``, for what a person should not overlook.
  func warn(_ text: String) {
    progress.clear()
    logger.warning("\(text)")
  }

  /// Shows what the run is busy with on a terminal.
  func show(_ text: @autoclosure () -> String) {
    if isTerminal { progress.update(text()) }
  }

  /// Writes what is not on disk yet. Throws ``Failure`` (can't write).
  func flush() throws {
    progress.clear()
    try metrics.flush()
  }

  var history: History { History(train: train.table, valid: valid.table) }

  /// What a checkpoint keeps of the rows that are not complete yet.
  var state: [String: Double] { interval.state }

  private func line(_ record: StepRecord) -> String {
    let loss = interval.steps > 0 ? interval.loss / Double(interval.steps) : record.loss
    let rate = interval.seconds > 0 ? Double(interval.tokens) / interval.seconds : record.tokensPerSecond
    let elapsed = (clock.now - start) / .seconds(1)
    let done = record.step - firstStep
    let left = done > 0 ? elapsed / Double(done) * Double(totalSteps - record.step) : .infinity
    return "step \(grouped(record.step))/\(grouped(totalSteps))  epoch \(record.epoch)  loss \(fixed(loss, 4))  "
      + "\(unit.text(loss))  \(grouped(Int(rate))) tokens/s  |g| \(fixed(record.gradientNorm, 3))  "
      + "lr \(significant(record.learningRate))  left \(readable(seconds: left))"
  }
}

/// Sums over the steps since the last progress line.
private struct Interval {
  var loss = 0.0
  var steps = 0
  var tokens = 0
  var seconds = 0.0

  init() {}

  init(_ state: [String: Double]) {
    loss = state["interval_loss"] ?? 0
    steps = state.count("interval_steps") ?? 0
    tokens = state.count("interval_tokens") ?? 0
    seconds = state["interval_seconds"] ?? 0
  }

  var state: [String: Double] {
    [
      "interval_loss": loss, "interval_steps": Double(steps), "interval_tokens": Double(tokens),
      "interval_seconds": seconds,
    ]
  }
}

/// The training history that a checkpoint keeps: a row for each progress line.
private struct TrainColumns {
  private var step: [Int64] = []
  private var epoch: [Int64] = []
  private var tokens: [Int64] = []
  private var loss: [Double] = []
  private var tokensPerSecond: [Double] = []
  private var gradientNorm: [Double] = []
  private var learningRate: [Double] = []

  mutating func append(_ record: StepRecord) {
    step.append(Int64(record.step))
    epoch.append(Int64(record.epoch))
    tokens.append(Int64(record.tokens))
    loss.append(record.loss)
    tokensPerSecond.append(record.tokensPerSecond)
    gradientNorm.append(record.gradientNorm)
    learningRate.append(record.learningRate)
  }

  mutating func restore(_ table: HistoryTable) {
    step = table.integers("step")
    epoch = table.integers("epoch")
    tokens = table.integers("tokens")
    loss = table.reals("loss")
    tokensPerSecond = table.reals("tokens_per_second")
    gradientNorm = table.reals("gradient_norm")
    learningRate = table.reals("learning_rate")
  }

  var table: HistoryTable {
    HistoryTable([
      .init("step", .integers(step)), .init("epoch", .integers(epoch)), .init("loss", .reals(loss)),
      .init("tokens", .integers(tokens)), .init("tokens_per_second", .reals(tokensPerSecond)),
      .init("gradient_norm", .reals(gradientNorm)), .init("learning_rate", .reals(learningRate)),
    ])
  }
}

/// The validation history that a checkpoint keeps.
private struct ValidColumns {
  private var step: [Int64] = []
  private var epoch: [Int64] = []
  private var natsPerToken: [Double] = []

  mutating func append(_ record: ValidationRecord) {
    step.append(Int64(record.step))
    epoch.append(Int64(record.epoch))
    natsPerToken.append(record.natsPerToken)
  }

  mutating func restore(_ table: HistoryTable) {
    step = table.integers("step")
    epoch = table.integers("epoch")
    natsPerToken = table.reals("valid_nats_per_token")
  }

  var table: HistoryTable {
    HistoryTable([
      .init("step", .integers(step)), .init("epoch", .integers(epoch)),
      .init("valid_nats_per_token", .reals(natsPerToken)),
      .init("valid_perplexity", .reals(natsPerToken.map { exp($0) })),
    ])
  }
}

extension HistoryTable {
  fileprivate func integers(_ name: String) -> [Int64] {
    if case .integers(let values)? = self[name] { values } else { [] }
  }

  fileprivate func reals(_ name: String) -> [Double] {
    if case .reals(let values)? = self[name] { values } else { [] }
  }
}
