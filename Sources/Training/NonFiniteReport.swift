import Failures
import Foundation

/// The report that a run writes in its directory when it stops on NaN or infinity: `nonfinite-step-0000000123.json`.
///
/// It says what was not finite and where, and holds everything that `lockstep train --replay` needs to reproduce it.
/// Numbers that JSON lacks are the strings "nan", "inf" and "-inf".
package struct NonFiniteReport: Codable, Sendable, Equatable {
  /// What was not finite.
  package enum Kind: String, Codable, Sendable {
    case loss
    case gradient
    case weights
    case validationLoss = "validation_loss"
  }

  /// The first tensor that is not finite: a parameter, or a parameter's gradient in the order of the backward pass.
  package struct Place: Codable, Sendable, Equatable {
    package var tensor: String
    package var row: Int
    /// The worker with this gradient; nil if all workers have the value.
    package var worker: Int?

    package init(tensor: String, row: Int, worker: Int?) {
      (self.tensor, self.row, self.worker) = (tensor, row, worker)
    }
  }

  package static let format = "lockstep non-finite report"

  package var format = NonFiniteReport.format
  package var formatVersion = 1
  package var kind: Kind
  /// The optimiser step, from 1.
  package var step: Int
  /// From 1.
  package var epoch: Int
  /// The window of the epoch, from 0, its time steps, and the sequences of the batch.
  package var window: Int
  package var windowSteps: Int
  package var streams: Int
  /// Mean cross-entropy of the batch in nats per token, or the validation loss.
  package var loss: Double
  /// The norm before clipping; nil if the step was complete.
  package var gradientNorm: Double?
  package var learningRate: Double?
  package var first: Place?
  /// Sequences whose gradient shards have no finite loss, as pairs [from, to), and the worker of the first.
  package var streamsWithoutFiniteLoss: [[Int]]
  package var workerOfFirstLoss: Int?
  /// Consecutive steps that were not finite, including this one; 0 with `on_nonfinite: stop`.
  package var skippedInARow: Int
  package var workers: Int
  package var exchange: String
  /// The checkpoint before the step; nil if there was none since the initial weights.
  package var checkpoint: String?
  /// The configuration in effect, as YAML.
  package var configuration: String

  package static func fileName(step: Int) -> String {
    let digits = String(step)
    return "nonfinite-step-\(String(repeating: "0", count: max(0, 10 - digits.count)))\(digits).json"
  }

  /// Writes the report into a run directory and returns its path. Throws what encoding or writing throws.
  func write(in directory: String) throws -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    let path = "\(directory)/\(Self.fileName(step: step))"
    try encoder.encode(self).write(to: URL(fileURLWithPath: path), options: .atomic)
    return path
  }

  /// - Throws: ``Failure`` (bad data) if the file is missing or not such a report.
  package init(contentsOf path: String) throws {
    let remedy = "give the nonfinite-step-….json that a stopped run has left in its directory"
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Failure(.badData, "no such report", at: path, remedy: remedy)
    }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    do {
      self = try decoder.decode(Self.self, from: data)
    } catch {
      throw Failure(.badData, "is no report of a non-finite step", at: path, remedy: remedy)
    }
    guard format == Self.format, formatVersion == 1, step >= 0 else {
      throw Failure(.badData, "is no report that this version can read", at: path, remedy: remedy)
    }
  }
}

extension NonFiniteReport {
  init(
    kind: Kind, step: Int, epoch: Int, window: Int, windowSteps: Int, streams: Int, loss: Double,
    gradientNorm: Double?, learningRate: Double?, first: Place?, streamsWithoutFiniteLoss: [Range<Int>],
    workerOfFirstLoss: Int?, skippedInARow: Int, workers: Int, exchange: String, checkpoint: String?,
    configuration: String
  ) {
    (self.kind, self.step, self.epoch, self.window) = (kind, step, epoch, window)
    (self.windowSteps, self.streams, self.loss) = (windowSteps, streams, loss)
    (self.gradientNorm, self.learningRate, self.first) = (gradientNorm, learningRate, first)
    self.streamsWithoutFiniteLoss = streamsWithoutFiniteLoss.map { [$0.lowerBound, $0.upperBound] }
    (self.workerOfFirstLoss, self.skippedInARow, self.workers) = (workerOfFirstLoss, skippedInARow, workers)
    (self.exchange, self.checkpoint, self.configuration) = (exchange, checkpoint, configuration)
  }
}
