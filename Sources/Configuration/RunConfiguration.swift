import Interfaces

/// The validated configuration of a run: a configuration file with its `--set` overrides.
///
/// Values are created only by loading (see `init(contentsOf:overrides:)` and `init(yaml:source:overrides:)`) and so
/// have
/// passed every check; code that changes a field afterwards calls `validate()`.
package struct RunConfiguration: Sendable, Equatable {
  package var task = TaskName.languageModel
  package var model = ModelConfiguration()
  package var data = DataConfiguration()
  package var optimizer = OptimizerConfiguration()
  package var schedule = ScheduleConfiguration()
  package var training = TrainingConfiguration()
  package var run = RunDirectoryConfiguration()

  /// The defaults, with placeholders for required keys and derived defaults.
  init() {}

  /// All keys, in the order of writing.
  ///
  /// Parsing, checking, hints, YAML output and the reference are all derived from this table.
  package static let keys: [ConfigurationKey] =
    [.word("task", \.task, "What the model learns: to continue a text, or to label each word of a sentence")]
    + ModelConfiguration.keys + DataConfiguration.keys + OptimizerConfiguration.keys + ScheduleConfiguration.keys
    + TrainingConfiguration.keys + RunDirectoryConfiguration.keys

  /// The sections in the order of writing.
  package static let sections = ["model", "data", "optimizer", "schedule", "training", "run"]

  static let keysByPath = Dictionary(uniqueKeysWithValues: keys.map { ($0.path, $0) })
}
