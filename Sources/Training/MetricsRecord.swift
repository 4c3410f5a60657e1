import Foundation

/// The metrics of one training step, for `metrics.jsonl` and the progress line.
package struct StepRecord: Sendable, Equatable {
  /// Completed optimiser steps.
  package var step: Int
  /// The epoch that the step belongs to, from 1.
  package var epoch: Int
  /// Mean cross-entropy of the batch, in nats per token.
  package var loss: Double
  /// Tokens trained on since the run began.
  package var tokens: Int
  package var tokensPerSecond: Double
  /// Global norm of the gradient before clipping.
  package var gradientNorm: Double
  package var learningRate: Double
  /// Whether the update was skipped because the loss or gradient was not finite.
  package var isSkipped = false
}

/// The metrics of one validation.
package struct ValidationRecord: Sendable, Equatable {
  package var step: Int
  package var epoch: Int
  package var natsPerToken: Double
  /// The fraction of correct answers; nil for a language model.
  package var accuracy: Double?
  /// Of entities; nil where labels mark none.
  package var f1: Double?
}

/// A row of `metrics.jsonl`.
enum MetricsRow {
  case step(StepRecord)
  case validation(ValidationRecord)

  var step: Int {
    switch self {
    case .step(let record): record.step
    case .validation(let record): record.step
    }
  }

  /// The row as a line of JSON, with the run's id if given.
  func json(run: String? = nil) -> String {
    let members =
      switch self {
      case .step(let r):
        """
        "step":\(r.step),"epoch":\(r.epoch),"loss":\(Self.number(r.loss)),"tokens":\(r.tokens),\
        "tokens_per_second":\(fixed(r.tokensPerSecond, 1)),"gradient_norm":\(Self.number(r.gradientNorm)),\
        "learning_rate":\(r.learningRate)\(r.isSkipped ? ",\"skipped\":true" : "")
        """
      case .validation(let r):
        """
        "step":\(r.step),"epoch":\(r.epoch),"valid_nats_per_token":\(r.natsPerToken),\
        "valid_perplexity":\(Self.number(exp(r.natsPerToken)))\
        \(r.accuracy.map { ",\"valid_accuracy\":\($0)" } ?? "")\(r.f1.map { ",\"valid_f1\":\($0)" } ?? "")
        """
      }
    return "{\(members)\(run.map { ",\"run\":\"\($0)\"" } ?? "")}\n"
  }

  /// JSON has neither NaN nor infinity, which occur as the loss of a skipped step or as a perplexity.
  private static func number(_ value: Double) -> String { value.isFinite ? "\(value)" : "null" }

  /// The step of a row that ``json(run:)`` wrote; nil for a torn line or any other text.
  static func step(of line: some Collection<UInt8>) -> Int? {
    let key = Array("{\"step\":".utf8)
    guard line.starts(with: key), line.suffix(1).first == UInt8(ascii: "}") else { return nil }
    let digits = line.dropFirst(key.count).prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    return Int(String(decoding: digits, as: UTF8.self))
  }
}
