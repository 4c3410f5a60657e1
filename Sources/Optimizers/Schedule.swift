import Glibc

/// The learning rate as a function of where training stands.
package struct Schedule: Sendable, Equatable {
  package enum Kind: Sendable, Equatable {
    case constant
    /// Zaremba et al. 2014: multiplied by `factor` once for every epoch after `afterEpoch` epochs.
    case stepDecay(factor: Double, afterEpoch: Int)
    /// Multiplied by `factor` when the validation loss has not improved by more than the share `threshold` for
    /// `patience` validations (PyTorch's ReduceLROnPlateau in relative mode), down to `minimumRate`.
    case plateau(factor: Double, patience: Int, threshold: Double, minimumRate: Double)
    /// Loshchilov & Hutter 2017, one half-cosine from the base rate to `minimumRate` over `totalSteps`.
    case cosine(totalSteps: Int, minimumRate: Double)
  }

  package let kind: Kind
  /// The configured learning rate.
  package let baseRate: Double
  /// Steps over which the rate rises linearly to the base rate.
  package let warmupSteps: Int

  /// What a plateau schedule remembers, and a checkpoint keeps.
  package private(set) var best = Double.infinity
  package private(set) var badValidations = 0
  package private(set) var plateauFactor = 1.0

  package init(_ kind: Kind, baseRate: Double, warmupSteps: Int = 0) {
    (self.kind, self.baseRate, self.warmupSteps) = (kind, baseRate, warmupSteps)
  }

  /// The rate of the step that comes after `step` steps, in the 0-based epoch `epoch`.
  package func rate(step: Int, epoch: Int) -> Double {
    if step < warmupSteps { return baseRate * Double(step + 1) / Double(warmupSteps) }
    switch kind {
    case .constant:
      return baseRate
    case .stepDecay(let factor, let afterEpoch):
      // A loop and not pow: the same bits on every machine.
      return (0..<max(0, epoch + 1 - afterEpoch)).reduce(baseRate) { rate, _ in rate * factor }
    case .plateau(_, _, _, let minimum):
      return max(baseRate * plateauFactor, min(minimum, baseRate))
    case .cosine(let total, let minimum):
      let span = max(total - warmupSteps, 1)
      let progress = min(Double(step - warmupSteps) / Double(span), 1)
      return minimum + (baseRate - minimum) * (1 + cos(Double.pi * progress)) / 2
    }
  }

  /// Tells the schedule a validation loss, in nats per token.
  package mutating func observe(validation loss: Double) {
    guard case .plateau(let factor, let patience, let threshold, _) = kind else { return }
    if loss < best * (1 - threshold) {
      best = loss
      badValidations = 0
    } else {
      badValidations += 1
    }
    if badValidations > patience {
      plateauFactor *= factor
      badValidations = 0
    }
  }

  /// What a checkpoint keeps of the schedule; empty but for a plateau schedule.
  package var state: [String: Double] {
    guard case .plateau = kind else { return [:] }
    return ["best": best, "bad_validations": Double(badValidations), "factor": plateauFactor]
  }

  /// Resumes from the state of a checkpoint.
  ///
  /// - Returns: the key that the state lacks; nil if it is complete.
  package mutating func restore(_ state: [String: Double]) -> String? {
    guard case .plateau = kind else { return nil }
    guard let best = state["best"], !best.isNaN else { return "best" }
    guard let bad = state["bad_validations"].flatMap({ Int(exactly: $0) }), bad >= 0 else { return "bad_validations" }
    guard let factor = state["factor"], factor.isFinite else { return "factor" }
    (self.best, badValidations, plateauFactor) = (best, bad, factor)
    return nil
  }
}
