import Arena
import Kernels

/// Applies an update rule to a segment of the parameter arena; its slots exist for that segment only, so the memory of
/// an optimiser is shared out over the workers.
package final class Optimizer {
  package let kind: OptimizerKind
  package let weightDecay: Double
  /// Where the segment stands in the arena, in floats.
  package let segment: Range<Int>
  /// One buffer of `segment.count` floats a slot, in the order of ``OptimizerKind/slotNames``.
  package let slots: [FloatBuffer]
  /// Updates done: t of Adam's bias corrections.
  package var updates = 0
  private let arithmetic: Arithmetic

  package init(
    _ kind: OptimizerKind, weightDecay: Double = 0, segment: Range<Int>, _ arithmetic: Arithmetic
  ) throws {
    self.arithmetic = arithmetic
    self.kind = kind
    self.weightDecay = weightDecay
    self.segment = segment
    slots = try kind.slotNames.map { _ in try FloatBuffer(count: segment.count) }
  }

  /// One step over the segment: weights ← weights − update(gradientScale · gradients).
  ///
  /// - Parameters:
  ///   - weights: the whole arena.
  ///   - gradients: the summed gradients of the segment, `segment.count` floats.
  ///   - gradientScale: 1 / tokens times the clipping factor.
  ///   - sparse: where given, only these ranges of the arena and what lies behind the given place are updated: the
  ///     other gradients are zero, and the rule leaves such weights alone.
  ///   - didUpdate: told, stretch by stretch, how far the weights are up to date, and how far they were before: places in
  ///     the arena.
  package func step(
    weights: FloatBuffer, gradients: UnsafePointer<Float>, gradientScale: Float, learningRate: Double,
    only sparse: (ranges: [Range<Int>], behind: Int)? = nil,
    didUpdate: (_ end: Int, _ previous: Int) -> Void = { _, _ in }
  ) {
    updates += 1
    var constants = UpdateConstants()
    constants.learningRate = learningRate
    constants.gradientScale = gradientScale
    constants.weightDecay = weightDecay
    if case .adam(let beta1, let beta2, _) = kind {
      constants.biasCorrection1 = 1 - power(beta1, updates)
      constants.biasCorrection2 = 1 - power(beta2, updates)
    }
    for range in sparse?.ranges ?? [] { update(range, of: weights, gradients, constants) }
    var done = max(segment.lowerBound, min(sparse?.behind ?? 0, segment.upperBound))
    while done < segment.upperBound {
      let end = min(done + Self.stretch, segment.upperBound)
      update(done..<end, of: weights, gradients, constants)
      didUpdate(end, done)
      done = end
    }
  }

  /// Floats that are updated at a time: weights that whoever is told may find in the second-level cache.
  private static let stretch = 64 << 10

  /// Applies the rule to a range of the arena inside the segment.
  private func update(
    _ range: Range<Int>, of weights: FloatBuffer, _ gradients: UnsafePointer<Float>, _ constants: UpdateConstants
  ) {
    var constants = constants
    let (w, offset, count) = (weights.pointer + range.lowerBound, range.lowerBound - segment.lowerBound, range.count)
    let g = gradients + offset
    func slot(_ index: Int) -> UnsafeMutablePointer<Float> { slots[index].pointer + offset }
    switch kind {
    case .sgd(momentum: 0):
      arithmetic.sgd(w, g, count: count, constants)
    case .sgd(let momentum):
      constants.momentum = momentum
      arithmetic.momentum(w, g, velocity: slot(0), count: count, constants)
    case .adam(let beta1, let beta2, let epsilon):
      constants.beta1 = beta1
      constants.beta2 = beta2
      constants.epsilon = epsilon
      arithmetic.adam(w, g, first: slot(0), second: slot(1), count: count, constants)
    case .rmsprop(let alpha, let epsilon):
      constants.alpha = alpha
      constants.epsilon = epsilon
      arithmetic.rmsprop(w, g, square: slot(0), count: count, constants)
    case .adagrad(let epsilon):
      constants.epsilon = epsilon
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

  /// The naive twin of one update of one parameter, in `Double`. `slots` has one value a slot.
  package static func naiveStep(
    _ kind: OptimizerKind, weight: Double, gradient: Double, slots: [Double], updates: Int, learningRate: Double,
    weightDecay: Double = 0
  ) -> (weight: Double, slots: [Double]) {
    let g = gradient + weightDecay * weight
    func power(_ base: Double) -> Double { (0..<updates).reduce(1.0) { result, _ in result * base } }
    switch kind {
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
