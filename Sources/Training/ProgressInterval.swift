import Checkpoints
import Failures

/// Sums over the steps since the last progress line; an interval also ends with its epoch.
struct ProgressInterval: Equatable {
  /// The loss, summed over tokens.
  private(set) var nats = 0.0
  private(set) var tokens = 0
  private(set) var seconds = 0.0

  init() {}

  /// The interval that was open when the checkpoint was written.
  /// - Throws: ``Failure`` (bad data) if the file lacks a part of it.
  init(_ checkpoint: CheckpointReader) throws {
    tokens = try checkpoint.trainingCount("interval_tokens")
    seconds = try checkpoint.trainingNumber("interval_seconds")
    if checkpoint.seal.formatVersion == 1 {
      // Version 1 summed the steps' mean losses.
      let steps = try checkpoint.trainingCount("interval_steps")
      nats = steps == 0 ? 0 : try checkpoint.trainingNumber("interval_loss") / Double(steps) * Double(tokens)
    } else {
      nats = try checkpoint.trainingNumber("interval_nats")
    }
  }

  mutating func add(_ record: StepRecord, tokens: Int, seconds: Double) {
    nats += record.loss * Double(tokens)
    self.tokens += tokens
    self.seconds += seconds
  }

  /// The mean loss in nats per token; nil before the first step.
  var loss: Double? { tokens > 0 ? nats / Double(tokens) : nil }
  var tokensPerSecond: Double? { seconds > 0 ? Double(tokens) / seconds : nil }

  /// The state for a checkpoint.
  var state: [String: Double] {
    ["interval_nats": nats, "interval_tokens": Double(tokens), "interval_seconds": seconds]
  }
}
