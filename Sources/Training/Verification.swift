import Configuration
import Failures
import Kernels
import Logging
import Synchronization
import Workers

/// The same few steps on several numbers of workers, bit by bit.
package struct Verification: Sendable {
  /// What some steps came to on one number of workers.
  package struct Outcome: Sendable, Equatable {
    package var workers: Int
    /// Loss sum and gradient norm of each step, as bits.
    package var steps: [[UInt64]]
    /// By name: weights, optimiser slots, carried states.
    package var tensors: [TensorDigest]
  }

  package struct TensorDigest: Sendable, Equatable {
    package var name: String
    package var digest: UInt64
  }

  package let configuration: RunConfiguration
  /// Optimiser steps on each number of workers.
  package let steps: Int

  package init(_ configuration: RunConfiguration, steps: Int) {
    (self.configuration, self.steps) = (configuration, steps)
  }

  /// Runs the steps on threads of this process, from the initial weights. Writes nothing.
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

  /// What differs first between two outcomes; nil where all bits are the same.
  package static func difference(_ first: Outcome, _ second: Outcome) -> String? {
    let tensor = zip(first.tensors, second.tensors).first { $0 != $1 }.map { $0.0.name }
    let step = zip(first.steps, second.steps).enumerated().first { $1.0 != $1.1 }?.offset
    guard tensor != nil || step != nil || first.steps.count != second.steps.count else { return nil }
    let part = step.map { "step \($0 + 1) has another loss or gradient norm" }
    let values = tensor.map { "the first tensor that differs at the end is \($0)" }
    return [part, values].compactMap { $0 }.joined(separator: "; ")
  }
}
