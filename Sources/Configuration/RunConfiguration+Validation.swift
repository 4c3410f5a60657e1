import Failures

extension RunConfiguration {
  /// Checks every value, and the rules between values, of a configuration that code has changed.
  ///
  /// - Throws: ``Failure`` with status ``ExitStatus/usage`` that names the key.
  package func validate() throws(Failure) {
    for key in Self.keys where key.applies(to: self) {
      guard let value = key.load(self) else { continue }
      if !key.form.accepts(value) {
        throw Failure(.usage, "'\(key.path)' cannot be '\(value.yaml)'", remedy: "give \(key.form.description)")
      }
    }
    try checkRules { _ in nil }
  }

  /// Checks the rules between keys.
  ///
  /// - Parameter place: returns where a key was given, or where it is missing.
  func checkRules(place: (String) -> String?) throws(Failure) {
    for rule in Self.rules where rule.isBroken(self) {
      throw Failure(.usage, rule.what(self), at: place(rule.key), remedy: rule.remedy)
    }
  }

  /// The sequences of a batch, over all workers: streams or sentences.
  package var sequences: Int {
    switch task {
    case .languageModel: data.streams
    case .tagging: data.batch
    }
  }

  /// The key that sets ``sequences``.
  package var sequencesKey: String { task == .languageModel ? "data.streams" : "data.batch" }

  /// Positions of a batch are counted in 32 bits.
  package static let mostPositions = Int(Int32.max)

  /// A constraint between keys, and the message if it is broken.
  private struct Rule: Sendable {
    /// The key that the message points to.
    var key: String
    var isBroken: @Sendable (RunConfiguration) -> Bool
    var what: @Sendable (RunConfiguration) -> String
    var remedy: String
  }

  private static let rules: [Rule] = [
    Rule(
      key: "model.tie_weights",
      isBroken: { $0.model.tieWeights && $0.model.embeddingSize != $0.model.hiddenSize },
      what: {
        "'model.tie_weights' needs equal sizes, but 'model.embedding_size' is \($0.model.embeddingSize) and "
          + "'model.hidden_size' is \($0.model.hiddenSize)"
      },
      remedy: "make them equal, or set tie_weights to false"),
    Rule(
      key: "data.window",
      isBroken: {
        $0.task == .languageModel && $0.data.window * $0.data.streams > RunConfiguration.mostPositions
      },
      what: {
        "'data.window' × 'data.streams' is \($0.data.window * $0.data.streams) positions in a batch, more than "
          + "\(RunConfiguration.mostPositions)"
      },
      remedy: "make one of them smaller"),
    Rule(
      key: "training.gradient_shards",
      isBroken: { $0.task == .languageModel && $0.training.gradientShards > $0.data.streams },
      what: {
        "'training.gradient_shards' is \($0.training.gradientShards), but there are only \($0.data.streams) streams"
      },
      remedy: "give at most as many shards as 'data.streams'"),
    Rule(
      key: "training.gradient_shards",
      isBroken: { $0.task == .tagging && $0.training.gradientShards > $0.data.batch },
      what: {
        "'training.gradient_shards' is \($0.training.gradientShards), but a batch has only \($0.data.batch) sentences"
      },
      remedy: "give at most as many shards as 'data.batch'"),
    Rule(
      key: "training.steps",
      isBroken: { $0.training.epochs != nil && $0.training.steps != nil },
      what: { _ in "both 'training.epochs' and 'training.steps' are given" },
      remedy: "keep one of them"),
    Rule(
      key: "training.epochs",
      isBroken: { $0.training.epochs == nil && $0.training.steps == nil },
      what: { _ in "neither 'training.epochs' nor 'training.steps' is given" },
      remedy: "add one of them to section 'training'"),
    Rule(
      key: "schedule.warmup_steps",
      isBroken: { configuration in
        guard configuration.schedule.name == .cosine else { return false }
        let total = configuration.schedule.totalSteps ?? configuration.training.steps
        return total.map { configuration.schedule.warmupSteps >= $0 } ?? false
      },
      what: { "'schedule.warmup_steps' is \($0.schedule.warmupSteps), which leaves no step after the warm-up" },
      remedy: "give fewer steps than 'schedule.total_steps', or than the run has"),
    Rule(
      key: "schedule.minimum_rate",
      isBroken: { $0.schedule.name == .cosine && $0.schedule.minimumRate > $0.optimizer.learningRate },
      what: {
        "'schedule.minimum_rate' is \($0.schedule.minimumRate), above 'optimizer.learning_rate', which is "
          + "\($0.optimizer.learningRate)"
      },
      remedy: "give at most the learning rate"),
  ]
}
