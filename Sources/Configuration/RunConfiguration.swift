import Interfaces

/// All that one training run is made of: the validated form of a configuration file with its `--set` overrides.
///
/// A value is only made by loading (see `init(contentsOf:overrides:)` and `init(yaml:source:overrides:)`), so it has
/// passed every check; code that changes a field afterwards calls `validate()`.
package struct RunConfiguration: Sendable, Equatable {
  package var task = TaskName.languageModel
  package var model = ModelConfiguration()
  package var data = DataConfiguration()
  package var optimizer = OptimizerConfiguration()
  package var schedule = ScheduleConfiguration()
  package var training = TrainingConfiguration()
  package var run = RunDirectoryConfiguration()

  /// The defaults, with placeholders where a key is required or its default follows from another key.
  init() {}

  /// Every key there is, in the order in which it is written.
  ///
  /// Parsing, checking, hints, rendering and the reference are all derived from this one table.
  package static let keys: [ConfigurationKey] =
    [.word("task", \.task, "What the model learns: to continue a text, or to label each word of a sentence")]
    + ModelConfiguration.keys + DataConfiguration.keys + OptimizerConfiguration.keys + ScheduleConfiguration.keys
    + TrainingConfiguration.keys + RunDirectoryConfiguration.keys

  /// The sections in the order in which they are written.
  package static let sections = ["model", "data", "optimizer", "schedule", "training", "run"]

  static let keysByPath = Dictionary(uniqueKeysWithValues: keys.map { ($0.path, $0) })
}
