import Optimizers

/// The optimiser and its constants; the defaults are those of `torch.optim`.
package struct OptimizerConfiguration: Sendable, Equatable {
  package var name = UpdateRule.Name.sgd
  package var learningRate = 0.0
  /// Used by SGD only.
  package var momentum = 0.0
  /// Used by Adam only.
  package var beta1 = 0.9
  /// Used by Adam only.
  package var beta2 = 0.999
  /// Used by RMSProp only: the decay of the mean square.
  package var alpha = 0.99
  /// Added to the denominator; not used by SGD.
  package var epsilon = 0.0
  /// The factor of the L2 penalty, which is added to the gradient as in `torch.optim`.
  package var weightDecay = 0.0

  static let keys: [ConfigurationKey] = [
    .word("optimizer.name", \.optimizer.name, "The optimiser"),
    .number("optimizer.learning_rate", \.optimizer.learningRate, .above(0), "The learning rate before any schedule")
      .derived("sgd, adam 0.001; rmsprop, adagrad 0.01") {
        switch $0.optimizer.name {
        case .sgd, .adam: $0.optimizer.learningRate = 1e-3
        case .rmsprop, .adagrad: $0.optimizer.learningRate = 1e-2
        }
      }
      .freeOnResume(),
    .number("optimizer.momentum", \.optimizer.momentum, .halfOpen(0, 1), "Classical momentum")
      .only(where: "optimizer.name", is: ["sgd"], orEquals: .number(0)).freeOnResume(),
    .number("optimizer.beta1", \.optimizer.beta1, .halfOpen(0, 1), "Decay of the mean of the gradient")
      .only(where: "optimizer.name", is: ["adam"]).freeOnResume(),
    .number("optimizer.beta2", \.optimizer.beta2, .halfOpen(0, 1), "Decay of the mean of the squared gradient")
      .only(where: "optimizer.name", is: ["adam"]).freeOnResume(),
    .number("optimizer.alpha", \.optimizer.alpha, .halfOpen(0, 1), "Decay of the mean of the squared gradient")
      .only(where: "optimizer.name", is: ["rmsprop"]).freeOnResume(),
    .number("optimizer.epsilon", \.optimizer.epsilon, .above(0), "Added to the denominator of the update")
      .only(where: "optimizer.name", is: ["adam", "rmsprop", "adagrad"])
      .derived("adam, rmsprop 1e-8; adagrad 1e-10") {
        $0.optimizer.epsilon = $0.optimizer.name == .adagrad ? 1e-10 : 1e-8
      }
      .freeOnResume(),
    .number("optimizer.weight_decay", \.optimizer.weightDecay, .atLeast(0), "Factor of the L2 penalty on all weights")
      .freeOnResume(),
  ]
}
