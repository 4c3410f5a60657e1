import Foundation

/// All of a checkpoint that is not a tensor or the history: where the run stands, and what it takes to go on.
package struct CheckpointHeader: Equatable, Sendable {
  /// Optimiser steps done.
  package var step: Int
  /// The current epoch, from 0.
  package var epoch: Int
  /// The next window of that epoch, from 0.
  package var window: Int
  /// The run's seed. With a counter-based generator, seed and step are the whole random state.
  package var seed: UInt64
  /// The generator and what its counters are keyed by, in words.
  package var randomStream: String
  /// The configuration file's text, YAML.
  package var configuration: String
  package var tokenizer: String
  /// The tokens by id.
  package var vocabulary: [String]
  /// Of a model that gives labels, by id.
  package var labels: [String]?
  /// The token that stands for those outside the vocabulary, if there is one.
  package var unknownToken: String?
  package var optimizer: String
  /// What the optimiser keeps beside its slots, such as its count of steps.
  package var optimizerState: [String: Double]
  package var schedule: String
  /// What the schedule keeps, such as the learning rate after decays or the epochs since the last improvement.
  package var scheduleState: [String: Double]
  /// The lowest validation loss so far, in nats per token.
  package var bestValidation: Double?
  /// What else the trainer must know to go on as if it had not stopped, such as sums since the epoch began.
  package var trainingState: [String: Double]
  /// The run that wrote the file; nil in files of version 1, which did not say.
  package var run: RunIdentity?
  /// The validation loss of these very weights, in nats per token; nil if they were not validated. Checkpoints are ranked
  /// by it.
  package var validation: Double?
  /// SHA-256 of the corpus's content, whatever its shards and path; nil where the file does not say.
  package var corpusDigest: String?
  /// The kernels that computed it, such as `AVX-512`; nil in files of version 1.
  package var instructionSet: String?
  /// What matrix products were computed in, `f32` or `bf16`; nil in files of version 1.
  package var precision: String?
  /// Bytes of `metrics.jsonl` that belong to the run up to here; nil in files of version 1.
  package var metricsBytes: Int?
  /// The program that wrote the file.
  package var creator: String
  /// When, ISO 8601 in UTC.
  package var created: String

  package init(
    step: Int, epoch: Int, window: Int, seed: UInt64, randomStream: String = "", configuration: String,
    tokenizer: String, vocabulary: [String], unknownToken: String? = nil, optimizer: String,
    optimizerState: [String: Double] = [:], schedule: String = "constant", scheduleState: [String: Double] = [:],
    bestValidation: Double? = nil, trainingState: [String: Double] = [:], run: RunIdentity? = nil,
    validation: Double? = nil, corpusDigest: String? = nil, instructionSet: String? = nil, precision: String? = nil,
    metricsBytes: Int? = nil, creator: String = "Lockstep", created: Date = .now
  ) {
    (self.step, self.epoch, self.window, self.seed) = (step, epoch, window, seed)
    (self.randomStream, self.configuration, self.tokenizer) = (randomStream, configuration, tokenizer)
    (self.vocabulary, self.unknownToken, self.optimizer) = (vocabulary, unknownToken, optimizer)
    (self.optimizerState, self.schedule, self.scheduleState) = (optimizerState, schedule, scheduleState)
    (self.bestValidation, self.trainingState, self.run) = (bestValidation, trainingState, run)
    (self.validation, self.corpusDigest, self.instructionSet) = (validation, corpusDigest, instructionSet)
    (self.precision, self.metricsBytes, self.creator) = (precision, metricsBytes, creator)
    self.created = created.formatted(.iso8601)
  }

  /// Whether the run still has to make the validation of this step, as its training state says.
  package var isValidationDue: Bool { trainingState[Self.validationDue] ?? 0 != 0 }

  /// The key of the training state that is 1 where the validation of this step was broken off, else 0.
  package static let validationDue = "validation_due"
}

/// A tensor in a file: its name and shape.
package struct TensorInfo: Equatable, Sendable {
  /// The name as in PyTorch's `named_parameters`, such as `rnn.weight_ih_l0`.
  package var name: String
  package var shape: [Int]
  /// The order of the gates' blocks of rows, such as `i f g o`; nil where the tensor has none.
  package var gateOrder: String?

  package init(name: String, shape: [Int], gateOrder: String? = nil) {
    (self.name, self.shape, self.gateOrder) = (name, shape, gateOrder)
  }

  /// Values in the tensor.
  package var count: Int { shape.reduce(1, *) }
}
