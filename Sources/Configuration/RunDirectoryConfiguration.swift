/// Where a run keeps its configuration, metrics and checkpoints.
package struct RunDirectoryConfiguration: Sendable, Equatable {
  package var directory = ""
  /// The number of latest checkpoints to keep, besides the best one.
  package var keep = 3

  static let keys: [ConfigurationKey] = [
    .path("run.directory", \.run.directory, "The directory of configuration, metrics and checkpoints").required()
      .freeOnResume(),
    .integer("run.keep", \.run.keep, 1...1_000_000, "Latest checkpoints to keep, besides the best one")
      .freeOnResume(),
  ]
}
