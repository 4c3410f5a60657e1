import Configuration
import Failures
import Kernels
import Logging
import Synchronization
import Workers

/// Runs the same few steps on different numbers of workers and compares them bit by bit.
package struct Verification: Sendable {
  /// The result of the steps on one number of workers.
  package struct Outcome: Sendable, Equatable {
    package var workers: Int
    /// The bit patterns of each step's loss sum and gradient norm.
    package var steps: [[UInt64]]
    /// Weights, optimiser slots and carried states.
    package var tensors: [TensorDigest]
  }

  package struct TensorDigest: Sendable, Equatable {
    package var name: String
    package var digest: UInt64
  }

  package let configuration: RunConfiguration
  /// The number of optimiser steps per outcome.
  package let steps: Int

  package init(_ configuration: RunConfiguration, steps: Int) {
    (self.configuration, self.steps) = (configuration, steps)
  }

  /// Runs the steps on threads of this process, from the initial weights, and writes nothing.
  package func run(workers: Int, arithmetic: Arithmetic, logger: Logger) throws -> Outcome {
    let outcome = Mutex(Outcome(workers: workers, steps: [], tensors: []))
    try ThreadWorkers.run(count: workers) { group in
      let trainer = try Trainer(
        group, configuration: configuration, purpose: .trial, arithmetic: arithmetic, logger: logger)
      try trainer.trial(through: steps) { _, step in
        guard group.rank == 0 else { return }
        outcome.withLock { $0.steps.append([step.lossSum.bitPattern, step.gradientNorm.bitPattern]) }
      }
      let tensors = try trainer.stateDigests()
      if group.rank == 0 { outcome.withLock { $0.tensors = tensors } }
    }
    return outcome.withLock { $0 }
  }

  /// The first differences between two outcomes; nil if they are bitwise identical.
  package static func difference(_ first: Outcome, _ second: Outcome) -> String? {
    let tensor = zip(first.tensors, second.tensors).first { $0 != $1 }.map { $0.0.name }
    let step = zip(first.steps, second.steps).enumerated().first { $1.0 != $1.1 }?.offset
    guard tensor != nil || step != nil || first.steps.count != second.steps.count else { return nil }
    let part = step.map { "step \($0 + 1) has another loss or gradient norm" }
    let values = tensor.map { "the first tensor that differs at the end is \($0)" }
    return [part, values].compactMap { $0 }.joined(separator: "; ")
  }
}
