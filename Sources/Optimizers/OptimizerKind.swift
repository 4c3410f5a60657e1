/// The update rules, with their constants; formulas and defaults as in PyTorch.
package enum OptimizerKind: Sendable, Equatable {
  case sgd(momentum: Double)
  case adam(beta1: Double, beta2: Double, epsilon: Double)
  case rmsprop(alpha: Double, epsilon: Double)
  case adagrad(epsilon: Double)

  /// The name in configurations and checkpoints.
  package var name: String {
    switch self {
    case .sgd: "sgd"
    case .adam: "adam"
    case .rmsprop: "rmsprop"
    case .adagrad: "adagrad"
    }
  }

  /// What an optimiser remembers of each parameter, under PyTorch's names.
  package var slotNames: [String] {
    switch self {
    case .sgd(momentum: 0): []
    case .sgd: ["momentum_buffer"]
    case .adam: ["exp_avg", "exp_avg_sq"]
    case .rmsprop: ["square_avg"]
    case .adagrad: ["sum"]
    }
  }
}
