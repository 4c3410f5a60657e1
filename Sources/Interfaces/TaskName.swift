/// What a model learns to map, as configurations, corpora and checkpoints spell it.
package enum TaskName: String, Sendable, CaseIterable, Codable {
  /// Each token of a text from those before it.
  case languageModel = "language_model"
  /// Each token of a sentence to a label.
  case tagging
}
