import CKernels

/// One optimiser update over a run of parameters, with the constants of this step.
package struct UpdateConstants: Sendable {
  package var learningRate: Double = 0
  /// Multiplies the summed gradient: 1 / tokens, and the clipping factor.
  package var gradientScale: Float = 1
  package var weightDecay: Double = 0
  package var momentum: Double = 0
  package var beta1: Double = 0
  package var beta2: Double = 0
  package var alpha: Double = 0
  package var epsilon: Double = 0
  /// 1 − β₁ᵗ
  package var biasCorrection1: Double = 1
  /// 1 − β₂ᵗ
  package var biasCorrection2: Double = 1

  package init() {}

  var settings: ls_update_settings {
    ls_update_settings(
      learning_rate: Float(learningRate), gradient_scale: gradientScale, weight_decay: Float(weightDecay),
      momentum: Float(momentum), beta2: Float(beta2), alpha: Float(alpha),
      beta1_complement: Float(1 - beta1), beta2_complement: Float(1 - beta2), alpha_complement: Float(1 - alpha),
      epsilon: Float(epsilon), bias_correction1: Float(biasCorrection1),
      bias_correction2_root: Float(biasCorrection2.squareRoot()))
  }
}

/// The update rules as vector kernels; formulas and defaults as in PyTorch's optimisers.
extension Arithmetic {
  /// w ← w − η g
  package func sgd(
    _ weights: UnsafeMutablePointer<Float>, _ gradients: UnsafePointer<Float>, count: Int, _ constants: UpdateConstants
  ) {
    var settings = constants.settings
    kernels.pointee.sgd(weights, gradients, count, &settings)
  }

  /// v ← μ v + g; w ← w − η v
  package func momentum(
    _ weights: UnsafeMutablePointer<Float>, _ gradients: UnsafePointer<Float>, velocity: UnsafeMutablePointer<Float>,
    count: Int, _ constants: UpdateConstants
  ) {
    var settings = constants.settings
    kernels.pointee.momentum(weights, gradients, velocity, count, &settings)
  }

  /// Kingma & Ba 2015, algorithm 1.
  package func adam(
    _ weights: UnsafeMutablePointer<Float>, _ gradients: UnsafePointer<Float>, first: UnsafeMutablePointer<Float>,
    second: UnsafeMutablePointer<Float>, count: Int, _ constants: UpdateConstants
  ) {
    var settings = constants.settings
    kernels.pointee.adam(weights, gradients, first, second, count, &settings)
  }

  /// Tieleman & Hinton 2012.
  package func rmsprop(
    _ weights: UnsafeMutablePointer<Float>, _ gradients: UnsafePointer<Float>, square: UnsafeMutablePointer<Float>,
    count: Int, _ constants: UpdateConstants
  ) {
    var settings = constants.settings
    kernels.pointee.rmsprop(weights, gradients, square, count, &settings)
  }

  /// Duchi, Hazan & Singer 2011.
  package func adagrad(
    _ weights: UnsafeMutablePointer<Float>, _ gradients: UnsafePointer<Float>, sum: UnsafeMutablePointer<Float>,
    count: Int, _ constants: UpdateConstants
  ) {
    var settings = constants.settings
    kernels.pointee.adagrad(weights, gradients, sum, count, &settings)
  }
}
