import Arena
import Checkpoints
import Configuration
import Corpus
import Kernels
import Optimizers
import Recurrent

extension RunConfiguration {
  /// The model that this configuration describes over a vocabulary of `vocabularySize` tokens.
  package func modelShape(vocabularySize: Int) -> ModelShape {
    let cell: Cell =
      switch model.cell {
      case .lstm: .lstm
      case .gru: .gru(model.reset == .after ? .after : .before)
      case .elman:
        switch model.activation {
        case .tanh: .elman(.tanh)
        case .relu: .elman(.relu)
        case .sigmoid: .elman(.sigmoid)
        }
      }
    return ModelShape(
      cell: cell, vocabularySize: vocabularySize, embeddingSize: model.embeddingSize, hiddenSize: model.hiddenSize,
      layers: model.layers, tied: model.tieWeights)
  }

  /// Gives the parameters their first values: tensors of a file where the configuration names one, else random ones.
  ///
  /// - Parameter corpus: whose vocabulary a file must have, if it has one.
  /// - Returns: a line that says what was loaded; nil for random values.
  /// - Throws: what reading the file met; what in it does not fit.
  @discardableResult
  package func initialize(
    _ parameters: ParameterStore, shape: ModelShape, corpus: CorpusReader? = nil
  ) throws -> String? {
    guard let path = model.initialParameters else {
      let initialization: Initialization =
        model.initialization == .uniform ? .uniform(range: model.initialRange) : .pytorch
      initialization.fill(parameters, shape: shape, seed: UInt64(training.seed), forgetBias: model.forgetBias)
      return nil
    }
    return try load(path, into: parameters, shape: shape, corpus: corpus)
  }

  /// What an epoch does with the tokens that don't fill streams and windows evenly.
  package var epochRemainder: StreamLayout.Remainder {
    switch data.lastWindow {
    case .drop: .droppedWithShortWindow
    case .keep: .dropped
    }
  }

  /// The update rule with its constants.
  package var optimizerKind: OptimizerKind {
    switch optimizer.name {
    case .sgd: .sgd(momentum: optimizer.momentum)
    case .adam: .adam(beta1: optimizer.beta1, beta2: optimizer.beta2, epsilon: optimizer.epsilon)
    case .rmsprop: .rmsprop(alpha: optimizer.alpha, epsilon: optimizer.epsilon)
    case .adagrad: .adagrad(epsilon: optimizer.epsilon)
    }
  }

  /// The schedule of the learning rate over a run of `totalSteps`.
  package func learningRateSchedule(totalSteps: Int) -> Schedule {
    let kind: Schedule.Kind =
      switch schedule.name {
      case .constant: .constant
      case .stepDecay: .stepDecay(factor: schedule.factor, afterEpoch: schedule.afterEpoch)
      case .plateau:
        .plateau(
          factor: schedule.factor, patience: schedule.patience, threshold: schedule.threshold, minimumRate: 0)
      case .cosine:
        .cosine(totalSteps: schedule.totalSteps ?? totalSteps, minimumRate: schedule.minimumRate)
      }
    return Schedule(
      kind, baseRate: optimizer.learningRate, warmupSteps: schedule.name == .cosine ? schedule.warmupSteps : 0)
  }
}
