import Foundation

/// All of a checkpoint that is not a tensor or the history: where the run stands, and what it takes to go on.
package struct CheckpointHeader: Equatable, Sendable {
  /// Optimiser steps done.
  package var step: Int
  /// The epoch that goes on, from 0.
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
  /// The program that wrote the file.
  package var creator: String
  /// When, ISO 8601 in UTC.
  package var created: String

  package init(
    step: Int, epoch: Int, window: Int, seed: UInt64, randomStream: String = "", configuration: String,
    tokenizer: String, vocabulary: [String], unknownToken: String? = nil, optimizer: String,
    optimizerState: [String: Double] = [:], schedule: String = "constant", scheduleState: [String: Double] = [:],
    bestValidation: Double? = nil, trainingState: [String: Double] = [:], creator: String = "Lockstep",
    created: Date = .now
  ) {
    self.step = step
    self.epoch = epoch
    self.window = window
    self.seed = seed
    self.randomStream = randomStream
    self.configuration = configuration
    self.tokenizer = tokenizer
    self.vocabulary = vocabulary
    self.unknownToken = unknownToken
    self.optimizer = optimizer
    self.optimizerState = optimizerState
    self.schedule = schedule
    self.scheduleState = scheduleState
    self.bestValidation = bestValidation
    self.trainingState = trainingState
    self.creator = creator
    self.created = created.formatted(.iso8601)
  }
}

/// A tensor in a file: its name and shape.
package struct TensorInfo: Equatable, Sendable {
  /// The name as in PyTorch's `named_parameters`, such as `rnn.weight_ih_l0`.
  package var name: String
  package var shape: [Int]
  /// The order of the gates' blocks of rows, such as `i f g o`; nil where the tensor has none.
  package var gateOrder: String?

  package init(name: String, shape: [Int], gateOrder: String? = nil) {
    self.name = name
    self.shape = shape
    self.gateOrder = gateOrder
  }

  /// Values in the tensor.
  package var count: Int { shape.reduce(1, *) }
}
