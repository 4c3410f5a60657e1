import Foundation

/// Everything in a checkpoint except tensors and history: the run's position and what it needs to continue.
package struct CheckpointHeader: Equatable, Sendable {
  /// Completed optimiser steps.
  package var step: Int
  /// The current epoch, from 0.
  package var epoch: Int
  /// The next window of that epoch, from 0.
  package var window: Int
  /// The run's seed. The generator is counter-based, so seed and step are the whole random state.
  package var seed: UInt64
  /// A description of the random generator and of its counters' keys.
  package var randomStream: String
  /// The configuration as YAML.
  package var configuration: String
  package var tokenizer: String
  /// The tokens by id.
  package var vocabulary: [String]
  /// A tagger's labels by id; nil for a language model.
  package var labels: [String]?
  /// The token that replaces words outside the vocabulary, if there is one.
  package var unknownToken: String?
  package var optimizer: String
  /// The optimiser's state besides its slots, such as its step count.
  package var optimizerState: [String: Double]
  package var schedule: String
  /// The schedule's state, such as the learning rate after decays or the epochs since the last improvement.
  package var scheduleState: [String: Double]
  /// The lowest validation loss so far, in nats per token.
  package var bestValidation: Double?
  /// Other values that the trainer needs to continue as if it had not stopped, such as sums since the epoch began.
  package var trainingState: [String: Double]
  /// The run that wrote the file; nil in files of version 1.
  package var run: RunIdentity?
  /// The validation loss of these weights, in nats per token, by which checkpoints are ranked; nil if they were not
  /// validated.
  package var validation: Double?
  /// SHA-256 of the corpus's content, independent of its shard files and path; nil if not recorded.
  package var corpusDigest: String?
  /// The instruction set of the kernels that computed it, such as `AVX-512`; nil in files of version 1.
  package var instructionSet: String?
  /// The precision of matrix products, `f32` or `bf16`; nil in files of version 1.
  package var precision: String?
  /// The size of `metrics.jsonl` at this checkpoint, in bytes; nil in files of version 1.
  package var metricsBytes: Int?
  /// The program that wrote the file.
  package var creator: String
  /// The time of writing, ISO 8601 in UTC.
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

  /// Whether this step still has to be validated, as its training state says.
  package var isValidationDue: Bool { trainingState[Self.validationDue] ?? 0 != 0 }

  /// The key in the training state that is 1 if the validation of this step was interrupted, else 0.
  package static let validationDue = "validation_due"
}

/// A tensor in a file: its name and shape.
package struct TensorInfo: Equatable, Sendable {
  /// The name as in PyTorch's `named_parameters`, such as `rnn.weight_ih_l0`.
  package var name: String
  package var shape: [Int]
  /// The order of the gates in the rows, such as `i f g o`; nil if the tensor has no gates.
  package var gateOrder: String?

  package init(name: String, shape: [Int], gateOrder: String? = nil) {
    (self.name, self.shape, self.gateOrder) = (name, shape, gateOrder)
  }

  /// The number of values.
  package var count: Int { shape.reduce(1, *) }
}
