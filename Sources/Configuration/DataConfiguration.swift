/// The corpus and how it is cut into streams and windows.
package struct DataConfiguration: Sendable, Equatable {
  /// The directory that `lockstep prepare` wrote.
  package var corpus = ""
  /// B, contiguous streams in the global batch.
  package var streams = 20
  /// T, time steps in a window of truncated backpropagation through time.
  package var window = 35

  static let keys: [ConfigurationKey] = [
    .path("data.corpus", \.data.corpus, "The directory that `lockstep prepare` wrote").required().freeOnResume(),
    .integer(
      "data.streams", \.data.streams, 1...1_000_000, "Contiguous token streams in the batch, over all workers"),
    .integer(
      "data.window", \.data.window, 1...100_000, "Time steps in a window of truncated backpropagation through time"),
  ]
}
