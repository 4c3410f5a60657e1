import Interfaces
import Kernels
import Layers
import Models
import Optimizers

extension RunConfiguration {
  /// The configured language model, for a vocabulary of `vocabularySize` tokens.
  package func languageArchitecture(vocabularySize: Int) -> LanguageArchitecture {
    LanguageArchitecture(
      .init(
        cell: cell, vocabularySize: vocabularySize, embeddingSize: model.embeddingSize, hiddenSize: model.hiddenSize,
        layers: model.layers, tied: model.tieWeights),
      dropout: dropout, forgetBias: model.forgetBias)
  }

  /// The configured tagger.
  package func taggerArchitecture(vocabularySize: Int, labels: [String]) -> TaggerArchitecture {
    TaggerArchitecture(
      .init(
        cell: cell, vocabularySize: vocabularySize, labels: labels.count, embeddingSize: model.embeddingSize,
        hiddenSize: model.hiddenSize, layers: model.layers, isBidirectional: model.isBidirectional,
        hasChain: model.hasChain),
      labels: labels, dropout: dropout, forgetBias: model.forgetBias)
  }

  /// The recurrent cell with its variant.
  package var cell: Cell {
    switch model.cell {
    case .lstm: .lstm
    case .gru: .gru(model.reset)
    case .elman: .elman(model.activation)
    }
  }

  /// The dropout of the non-recurrent connections; nil if there is none.
  package var dropout: Dropout? {
    model.dropout > 0 ? Dropout(probability: model.dropout, seed: UInt64(training.seed)) : nil
  }

  package var initialization: Initialization {
    switch model.initialization {
    case .uniform: .uniform(range: model.initialRange)
    case .pytorch: .pytorch
    }
  }

  /// The update rule with its constants.
  package var updateRule: UpdateRule {
    switch optimizer.name {
    case .sgd: .sgd(momentum: optimizer.momentum)
    case .adam: .adam(beta1: optimizer.beta1, beta2: optimizer.beta2, epsilon: optimizer.epsilon)
    case .rmsprop: .rmsprop(alpha: optimizer.alpha, epsilon: optimizer.epsilon)
    case .adagrad: .adagrad(epsilon: optimizer.epsilon)
    }
  }

  /// The learning-rate schedule of a run of `totalSteps` steps.
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
