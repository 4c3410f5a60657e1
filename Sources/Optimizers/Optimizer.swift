import Kernels
import Parameters

/// Applies an update rule to a segment of the parameter arena; its slots exist for that segment only, so the memory of
/// an optimiser is shared out over the workers.
package final class Optimizer {
  package let rule: UpdateRule
  package let weightDecay: Double
  /// Where the segment stands in the arena, in floats.
  package let segment: Range<Int>
  /// One buffer of `segment.count` floats per slot, in the order of ``UpdateRule/slotNames``.
  package let slots: [FloatBuffer]
  /// Updates done: t of Adam's bias corrections.
  package var updates = 0
  private let arithmetic: Arithmetic
  private var constants = UpdateConstants()

  package init(
    _ rule: UpdateRule, weightDecay: Double = 0, segment: Range<Int>, _ arithmetic: Arithmetic
  ) throws {
    (self.arithmetic, self.rule, self.weightDecay, self.segment) = (arithmetic, rule, weightDecay, segment)
    slots = try rule.slotNames.map { _ in try FloatBuffer(count: segment.count) }
    constants.weightDecay = weightDecay
    switch rule {
    case .sgd(let momentum): constants.momentum = momentum
    case .adam(let beta1, let beta2, let epsilon):
      (constants.beta1, constants.beta2, constants.epsilon) = (beta1, beta2, epsilon)
    case .rmsprop(let alpha, let epsilon): (constants.alpha, constants.epsilon) = (alpha, epsilon)
    case .adagrad(let epsilon): constants.epsilon = epsilon
    }
  }

  /// Whether a weight with a zero gradient stays as it is.
  package var leavesZerosAlone: Bool { rule.leavesZerosAlone && weightDecay == 0 }

  /// Begins a step: the constants of all updates up to the next.
  ///
  /// - Parameter gradientScale: multiplies summed gradients: 1 / targets, and the clipping factor.
  package func beginStep(gradientScale: Float, learningRate: Double) {
    updates += 1
    constants.learningRate = learningRate
    constants.gradientScale = gradientScale
    if case .adam(let beta1, let beta2, _) = rule {
      constants.biasCorrection1 = 1 - power(beta1, updates)
      constants.biasCorrection2 = 1 - power(beta2, updates)
    }
  }

  /// Applies the rule to a range of the arena inside the segment: weights ← weights − update(gradientScale · gradients).
  ///
  /// - Parameters:
  ///   - weights: the whole arena.
  ///   - gradients: those of the range.
  package func update(_ range: Range<Int>, of weights: FloatBuffer, _ gradients: UnsafePointer<Float>) {
    precondition(
      segment.lowerBound <= range.lowerBound && range.upperBound <= segment.upperBound, "outside the segment")
    let (w, g, offset, count) = (
      weights.pointer + range.lowerBound, gradients, range.lowerBound - segment.lowerBound, range.count
    )
    func slot(_ index: Int) -> UnsafeMutablePointer<Float> { slots[index].pointer + offset }
    switch rule {
    case .sgd(momentum: 0):
      arithmetic.sgd(w, g, count: count, constants)
    case .sgd:
      arithmetic.momentum(w, g, velocity: slot(0), count: count, constants)
    case .adam:
      arithmetic.adam(w, g, first: slot(0), second: slot(1), count: count, constants)
    case .rmsprop:
      arithmetic.rmsprop(w, g, square: slot(0), count: count, constants)
    case .adagrad:
      arithmetic.adagrad(w, g, sum: slot(0), count: count, constants)
    }
  }

  /// βᵗ by squaring: the same bits everywhere, and t grows without bound.
  private func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, factor, n) = (1.0, base, exponent)
    while n > 0 {
      if n & 1 == 1 { result *= factor }
      factor *= factor
      n >>= 1
    }
    return result
  }

  /// The naive twin of one update of one parameter, in `Double`. `slots` has one value per slot.
  package static func naiveStep(
    _ rule: UpdateRule, weight: Double, gradient: Double, slots: [Double], updates: Int, learningRate: Double,
    weightDecay: Double = 0
  ) -> (weight: Double, slots: [Double]) {
    let g = gradient + weightDecay * weight
    func power(_ base: Double) -> Double { (0..<updates).reduce(1.0) { result, _ in result * base } }
    switch rule {
    case .sgd(momentum: 0):
      return (weight - learningRate * g, [])
    case .sgd(let momentum):
      let v = momentum * slots[0] + g
      return (weight - learningRate * v, [v])
    case .adam(let beta1, let beta2, let epsilon):
      let m = beta1 * slots[0] + (1 - beta1) * g
      let v = beta2 * slots[1] + (1 - beta2) * g * g
      let mHat = m / (1 - power(beta1))
      let vHat = v / (1 - power(beta2))
      return (weight - learningRate * mHat / (vHat.squareRoot() + epsilon), [m, v])
    case .rmsprop(let alpha, let epsilon):
      let v = alpha * slots[0] + (1 - alpha) * g * g
      return (weight - learningRate * g / (v.squareRoot() + epsilon), [v])
    case .adagrad(let epsilon):
      let s = slots[0] + g * g
      return (weight - learningRate * g / (s.squareRoot() + epsilon), [s])
    }
  }
}
