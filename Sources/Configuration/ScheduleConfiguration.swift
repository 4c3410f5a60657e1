/// How the learning rate changes during the run.
package struct ScheduleConfiguration: Sendable, Equatable {
  package enum Name: String, CaseIterable, Sendable {
    case constant
    /// Multiplied by ``factor`` at each epoch after ``afterEpoch`` (Zaremba et al. 2014).
    case stepDecay = "step_decay"
    /// Multiplied by ``factor`` when the validation loss has stopped falling.
    case plateau
    /// Linear warm-up, then half a cosine down to ``minimumRate``.
    case cosine
  }

  package var name = Name.constant
  /// Used by `step_decay` and `plateau`.
  package var factor = 0.5
  /// Used by `step_decay`: the last epoch, counted from 1, at the full rate.
  package var afterEpoch = 0
  /// Used by `plateau`: validations without improvement before the rate falls.
  package var patience = 0
  /// Used by `plateau`: the smallest relative decrease of the validation loss that counts as an improvement.
  package var threshold = 1e-4
  /// Used by `cosine`: the number of steps of linear warm-up from 0.
  package var warmupSteps = 0
  /// Used by `cosine`: the step at which the rate reaches ``minimumRate``; nil = the last step of the run.
  package var totalSteps: Int?
  /// Used by `cosine`.
  package var minimumRate = 0.0

  static let keys: [ConfigurationKey] = [
    .word("schedule.name", \.schedule.name, "The learning-rate schedule"),
    .number("schedule.factor", \.schedule.factor, .aboveUpTo(0, 1), "What the rate is multiplied by")
      .only(where: "schedule.name", is: ["step_decay", "plateau"]).freeOnResume(),
    .integer(
      "schedule.after_epoch", \.schedule.afterEpoch, 0...1_000_000,
      "The last epoch at the full rate; each later epoch multiplies it by `factor` (Zaremba et al. 2014)"
    )
    .only(where: "schedule.name", is: ["step_decay"]).freeOnResume(),
    .integer(
      "schedule.patience", \.schedule.patience, 0...1_000_000,
      "Validations without improvement that are tolerated before the rate falls"
    )
    .only(where: "schedule.name", is: ["plateau"]).freeOnResume(),
    .number(
      "schedule.threshold", \.schedule.threshold, .halfOpen(0, 1),
      "Smallest relative decrease of the validation loss that counts as an improvement"
    )
    .only(where: "schedule.name", is: ["plateau"]).freeOnResume(),
    .integer("schedule.warmup_steps", \.schedule.warmupSteps, 0...Int(Int32.max), "Steps of linear warm-up from 0")
      .only(where: "schedule.name", is: ["cosine"]).freeOnResume(),
    .integer(
      "schedule.total_steps", \.schedule.totalSteps, 1...1_000_000_000_000, absent: "the length of the run",
      "The step at which the rate reaches `minimum_rate`"
    )
    .only(where: "schedule.name", is: ["cosine"]).freeOnResume(),
    .number("schedule.minimum_rate", \.schedule.minimumRate, .atLeast(0), "The rate at the end of the cosine")
      .only(where: "schedule.name", is: ["cosine"]).freeOnResume(),
  ]
}
