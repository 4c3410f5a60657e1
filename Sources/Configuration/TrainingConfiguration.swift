import Failures
import Kernels

/// The length of training, loss, clipping and exchange, and the intervals of validation and checkpoints.
package struct TrainingConfiguration: Sendable, Equatable {
  package enum LossReduction: String, CaseIterable, Sendable {
    /// Mean over all target tokens of the window.
    case tokenMean = "token_mean"
    /// Sum over the window's time steps, mean over the streams (the convention of the PTB papers).
    case windowSum = "window_sum"
  }

  package enum Exchange: String, CaseIterable, Sendable {
    /// Along a fixed tree: bitwise identical for any number of workers.
    case tree
    /// The MPI library's own sum, for comparison.
    case allreduce
  }

  package enum NonFiniteStep: String, CaseIterable, Sendable {
    /// The run ends with an error.
    case stop
    /// The step's update is skipped.
    case skip
  }

  package enum Length: Sendable, Equatable {
    case epochs(Int)
    case steps(Int)
  }

  /// Exactly one of `epochs` and `steps` is given; ``length`` has both cases.
  package var epochs: Int?
  package var steps: Int?
  package var lossReduction = LossReduction.tokenMean
  /// The largest global norm of the gradient; 0 = no clipping.
  package var clipNorm = 0.0
  /// G, the gradient shards that are summed along the fixed tree; also the maximum number of workers.
  package var gradientShards = 0
  package var exchange = Exchange.tree
  package var precision = Precision.f32
  package var seed = 1
  /// What happens if a step's loss or gradient is NaN or infinite.
  package var onNonFinite = NonFiniteStep.stop
  /// Steps between comparisons of the workers' copies of the weights; 0 = never.
  package var verifyEvery = 0
  /// The memory that the workers of one host may use, in bytes; nil = what the system allows.
  package var memoryLimit: Int?
  /// Steps between validations; 0 = at epoch ends only.
  package var validateEvery = 0
  /// Steps between checkpoints; 0 = at epoch ends only.
  package var checkpointEvery = 0
  /// Steps between progress lines if standard error is not a terminal.
  package var logEvery = 100
  /// Seconds that MPI ranks wait for one of them before the job ends; 0 = no limit, but a warning every minute.
  package var stallTimeout = 0.0

  package var length: Length {
    if let epochs { return .epochs(epochs) }
    guard let steps else { preconditionFailure("a validated configuration has epochs or steps") }
    return .steps(steps)
  }

  private static let stepCounts = 0...1_000_000_000_000

  static let keys: [ConfigurationKey] = [
    .integer(
      "training.epochs", \.training.epochs, 1...1_000_000, absent: "exactly one of `epochs` and `steps` is required",
      "Passes over the training split"
    ).freeOnResume(),
    .integer(
      "training.steps", \.training.steps, 1...1_000_000_000_000,
      absent: "exactly one of `epochs` and `steps` is required", "Optimiser steps"
    ).freeOnResume(),
    .word(
      "training.loss_reduction", \.training.lossReduction,
      "`token_mean`: mean over all tokens; `window_sum`: sum over the window's steps, mean over streams (PTB papers)"
    )
    .only(where: "task", is: ["language_model"], orEquals: .word("token_mean")),
    .number("training.clip_norm", \.training.clipNorm, .atLeast(0), "Largest global norm of the gradient; 0 = off")
      .freeOnResume(),
    .integer(
      "training.gradient_shards", \.training.gradientShards, 1...4096,
      "Shards whose gradients are added up along one fixed tree; the most workers that a run can have"
    )
    .derived("8, or `data.streams` or `data.batch` if that is less") {
      $0.training.gradientShards = min(8, $0.sequences)
    },
    .word(
      "training.exchange", \.training.exchange,
      "`tree`: the same bits on any number of workers; `allreduce`: the message library's own sum"
    ).freeOnResume(),
    .word(
      "training.precision", \.training.precision,
      "What operands of matrix products are rounded to; `bf16` needs a processor with AVX512_BF16"),
    .integer("training.seed", \.training.seed, 0...Int.max, "Seed of initialization and dropout"),
    .word(
      "training.on_nonfinite", \.training.onNonFinite,
      "Where the loss or gradient of a step is NaN or infinite: `stop`, or `skip` its update (at most 9 in a row)"
    ).freeOnResume(),
    .integer(
      "training.verify_every", \.training.verifyEvery, stepCounts,
      "Steps between comparisons of the workers' weights, where each holds its own (`allreduce`, ranks without shared "
        + "memory, several hosts); 0 = never"
    ).freeOnResume(),
    .bytes(
      "training.memory_limit", \.training.memoryLimit,
      absent: "the smallest of the limits of shell, control groups and machine",
      "Memory that the workers of one host may use, such as `4 GiB`; a run that needs more is refused"
    ).freeOnResume(),
    .integer(
      "training.validate_every", \.training.validateEvery, stepCounts,
      "Steps between validations; 0 = at epoch ends only"
    ).freeOnResume(),
    .integer(
      "training.checkpoint_every", \.training.checkpointEvery, stepCounts,
      "Steps between checkpoints; 0 = at epoch ends only"
    ).freeOnResume(),
    .integer(
      "training.log_every", \.training.logEvery, 1...1_000_000_000,
      "Steps between progress lines where the output is not a terminal"
    ).freeOnResume(),
    .number(
      "training.stall_timeout", \.training.stallTimeout, .atLeast(0),
      "Seconds that MPI ranks wait for one that does not reach the exchange, before the job ends; checkpoints, "
        + "validations and first reads don't count; 0 = wait, and warn every minute"
    ).freeOnResume(),
  ]
}
