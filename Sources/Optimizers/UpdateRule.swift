/// The update rules, with their constants; formulas and defaults as in PyTorch.
package enum UpdateRule: Sendable, Equatable {
  case sgd(momentum: Double)
  case adam(beta1: Double, beta2: Double, epsilon: Double)
  case rmsprop(alpha: Double, epsilon: Double)
  case adagrad(epsilon: Double)

  /// As configurations and checkpoints spell it.
  package enum Name: String, Sendable, CaseIterable { case sgd, adam, rmsprop, adagrad }

  package var name: Name {
    switch self {
    case .sgd: .sgd
    case .adam: .adam
    case .rmsprop: .rmsprop
    case .adagrad: .adagrad
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

  /// Whether a weight with a zero gradient stays as it is: no momentum and no decaying average moves it.
  package var leavesZerosAlone: Bool {
    switch self {
    case .sgd(momentum: 0), .adagrad: true
    case .sgd, .adam, .rmsprop: false
    }
  }
}
