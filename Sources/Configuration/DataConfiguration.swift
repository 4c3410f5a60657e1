/// The corpus and its division into streams and windows, or batches of sentences.
package struct DataConfiguration: Sendable, Equatable {
  /// The directory that `lockstep prepare` wrote.
  package var corpus = ""
  /// B, the contiguous streams of a batch, over all workers.
  package var streams = 20
  /// Sentences of a batch, over all workers.
  package var batch = 32
  /// T, the time steps of a window of truncated backpropagation through time.
  package var window = 35
  /// Whether an epoch includes a last window of less than half the steps.
  package var lastWindow = LastWindow.drop

  /// What happens to a last window of less than half the steps.
  package enum LastWindow: String, CaseIterable, Sendable {
    case drop, keep
  }

  static let keys: [ConfigurationKey] = [
    .path("data.corpus", \.data.corpus, "The directory that `lockstep prepare` wrote").required().freeOnResume(),
    .integer(
      "data.streams", \.data.streams, 1...1_000_000, "Contiguous token streams in the batch, over all workers"
    )
    .only(where: "task", is: ["language_model"]),
    .integer("data.batch", \.data.batch, 1...1_000_000, "Sentences in the batch, over all workers")
      .only(where: "task", is: ["tagging"]),
    .integer(
      "data.window", \.data.window, 1...100_000, "Time steps in a window of truncated backpropagation through time"
    )
    .only(where: "task", is: ["language_model"]),
    .word(
      "data.last_window", \.data.lastWindow,
      "`drop`: an epoch leaves out a last window of less than half the steps; `keep`: it never does, as in PyTorch's "
        + "word_language_model"
    )
    .only(where: "task", is: ["language_model"]),
  ]
}
