import Checkpoints
import Corpus
import Files
import Foundation
import Logging

/// Records a run: progress on the terminal or in log lines, `metrics.jsonl`, and the history for checkpoints. Only the
/// first worker has one.
final class RunJournal {
  let metrics: MetricsFile
  private let logger: Logger
  private let progress: ProgressLine
  private let isTerminal: Bool
  private let unit: LossUnit
  private let logEvery: Int
  private let firstStep: Int
  private let totalSteps: Int
  private let clock = ContinuousClock()
  private let start: ContinuousClock.Instant

  private var interval: ProgressInterval
  private var train: TrainColumns
  private var valid: ValidColumns

  /// - Parameter checkpoint: the checkpoint that the run resumes from.
  init(
    metrics: MetricsFile, from step: Int, totalSteps: Int, logEvery: Int, unit: LossUnit,
    resuming checkpoint: CheckpointReader?, logger: Logger, isTerminal: Bool = StandardError.isTerminal
  ) throws {
    (self.metrics, self.logger, self.isTerminal) = (metrics, logger, isTerminal)
    progress = ProgressLine(isShown: isTerminal)
    (self.unit, self.logEvery, self.totalSteps) = (unit, logEvery, totalSteps)
    firstStep = step
    start = clock.now
    let history = try checkpoint?.history() ?? History()
    train = TrainColumns(history.train)
    valid = ValidColumns(history.valid)
    interval = try checkpoint.map(ProgressInterval.init) ?? ProgressInterval()
  }

  /// Records one step, which took `seconds`. The last step of an epoch also ends the interval of progress lines.
  func record(_ record: StepRecord, tokens: Int, seconds: Double, endsEpoch: Bool) throws {
    try metrics.append(.step(record))
    // A skipped step has no finite loss.
    if !record.isSkipped { interval.add(record, tokens: tokens, seconds: seconds) }
    guard !record.isSkipped || endsEpoch && interval.loss != nil else { return }
    if isTerminal { progress.update(line(record)) }
    guard record.step % logEvery == 0 || record.step == totalSteps || endsEpoch else { return }
    if !isTerminal { logger.info("\(line(record))") }
    var mean = record
    mean.isSkipped = false
    mean.loss = interval.loss ?? record.loss
    mean.tokensPerSecond = interval.tokensPerSecond ?? record.tokensPerSecond
    train.append(mean)
    interval = ProgressInterval()
  }

  /// Records one validation.
  func record(_ record: ValidationRecord, isBest: Bool) throws {
    try metrics.append(.validation(record))
    try metrics.flush()
    valid.append(record)
    say(
      "step \(grouped(record.step)), epoch \(record.epoch): validation loss \(fixed(record.natsPerToken, 4)) nats/token, "
        + unit.text(record.natsPerToken)
        + (record.accuracy.map { ", accuracy \(fixed(100 * $0, 2)) %" } ?? "")
        + (record.f1.map { ", F1 \(fixed(100 * $0, 2)) %" } ?? "") + (isBest ? " (best so far)" : ""))
  }

  /// Logs a line, above the progress line if there is one.
  func say(_ text: String) {
    progress.clear()
    logger.info("\(text)")
  }

  /// Like ``say(_:)``, with level warning.
  func warn(_ text: String) {
    progress.clear()
    logger.warning("\(text)")
  }

  /// Shows the current activity in the progress line on a terminal.
  func show(_ text: @autoclosure () -> String) {
    if isTerminal { progress.update(text()) }
  }

  /// Writes buffered metrics. Throws ``Failure`` (can't write).
  func flush() throws {
    progress.clear()
    try metrics.flush()
  }

  /// Writes buffered metrics and waits until they are on disk. Throws ``Failure`` (can't write).
  func synchronize() throws {
    progress.clear()
    try metrics.synchronize()
  }

  var history: History { History(train: train.table, valid: valid.table) }

  /// The state of the open interval, for a checkpoint.
  var state: [String: Double] { interval.state }

  private func line(_ record: StepRecord) -> String {
    let loss = interval.loss ?? record.loss
    let rate = interval.tokensPerSecond ?? record.tokensPerSecond
    let elapsed = (clock.now - start) / .seconds(1)
    let done = record.step - firstStep
    let left = done > 0 ? elapsed / Double(done) * Double(totalSteps - record.step) : .infinity
    return "step \(grouped(record.step))/\(grouped(totalSteps))  epoch \(record.epoch)  loss \(fixed(loss, 4))  "
      + "\(unit.text(loss))  \(grouped(Int(rate))) tokens/s  |g| \(fixed(record.gradientNorm, 3))  "
      + "lr \(significant(record.learningRate))  ETA \(readable(seconds: left))"
  }
}
