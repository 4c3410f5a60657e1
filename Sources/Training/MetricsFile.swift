import Failures
import Foundation

/// One training step, as `metrics.jsonl` and the progress line show it.
package struct StepRecord: Sendable, Equatable {
  /// Optimiser steps done.
  package var step: Int
  /// The epoch that the step belongs to, from 1.
  package var epoch: Int
  /// Mean cross-entropy of the window, in nats per token.
  package var loss: Double
  /// Tokens trained on since the run began.
  package var tokens: Int
  package var tokensPerSecond: Double
  /// Global norm of the gradient before clipping.
  package var gradientNorm: Double
  package var learningRate: Double
  /// Whether the update was left out, because loss or gradient were not finite.
  package var isSkipped = false
}

/// One validation.
package struct ValidationRecord: Sendable, Equatable {
  package var step: Int
  package var epoch: Int
  package var natsPerToken: Double
}

/// `metrics.jsonl` of a run directory: one JSON object a line, a row for each step and each validation.
///
/// Rows are kept in memory and written about once a second, so that the step loop neither formats nor writes.
final class MetricsFile {
  private enum Row {
    case step(StepRecord)
    case validation(ValidationRecord)
  }

  private let path: String
  private let handle: FileHandle
  private var rows: [Row] = []
  private var lastWrite = ContinuousClock.now
  private static let capacity = 4096

  /// Opens the file for appending.
  ///
  /// - Parameter step: rows after this step are dropped: a resumed run writes them again.
  /// - Throws: ``Failure`` (can't write).
  init(directory: String, keepingUpTo step: Int) throws {
    path = "\(directory)/metrics.jsonl"
    do {
      let kept = Self.rows(of: path, upTo: step)
      try kept.write(to: URL(fileURLWithPath: path), options: .atomic)
      handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
      try handle.seekToEnd()
    } catch {
      throw Failure(
        .cannotWrite, "can't write the metrics", at: path, cause: systemReason(error),
        remedy: "check the directory's permissions and free space")
    }
    rows.reserveCapacity(Self.capacity)
  }

  func append(_ record: StepRecord) throws {
    rows.append(.step(record))
    if rows.count >= Self.capacity || ContinuousClock.now - lastWrite > .seconds(1) { try flush() }
  }

  func append(_ record: ValidationRecord) throws {
    rows.append(.validation(record))
    try flush()
  }

  /// Writes what is in memory. Throws ``Failure`` (can't write).
  func flush() throws {
    lastWrite = .now
    guard !rows.isEmpty else { return }
    var text = ""
    for row in rows {
      switch row {
      case .step(let r):
        text += """
          {"step":\(r.step),"epoch":\(r.epoch),"loss":\(json(r.loss)),"tokens":\(r.tokens),\
          "tokens_per_second":\(fixed(r.tokensPerSecond, 1)),"gradient_norm":\(json(r.gradientNorm)),\
          "learning_rate":\(r.learningRate)\(r.isSkipped ? ",\"skipped\":true" : "")}\n
          """
      case .validation(let r):
        text += """
          {"step":\(r.step),"epoch":\(r.epoch),"valid_nats_per_token":\(r.natsPerToken),\
          "valid_perplexity":\(json(exp(r.natsPerToken)))}\n
          """
      }
    }
    rows.removeAll(keepingCapacity: true)
    do {
      try handle.write(contentsOf: Data(text.utf8))
    } catch {
      throw Failure(
        .cannotWrite, "can't write the metrics", at: path, cause: systemReason(error),
        remedy: "free some space and resume the run")
    }
  }

  /// JSON has neither NaN nor infinity, which the loss of a step that was left out is, and a perplexity may be.
  private func json(_ value: Double) -> String { value.isFinite ? "\(value)" : "null" }

  /// The lines of an existing file whose step is at most `step`; a torn last line is dropped.
  private static func rows(of path: String, upTo step: Int) -> Data {
    struct Step: Decodable { var step: Int }
    guard step > 0, let data = FileManager.default.contents(atPath: path) else { return Data() }
    var kept = Data()
    for line in data.split(separator: UInt8(ascii: "\n")) {
      guard let row = try? JSONDecoder().decode(Step.self, from: line), row.step <= step else { continue }
      kept += line + [UInt8(ascii: "\n")]
    }
    return kept
  }
}
