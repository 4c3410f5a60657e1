import Checkpoints
import Configuration
import Failures
import Optimizers

extension RunConfiguration {
  /// Checks the schedule against the length of the run, which depends on the corpus if `training.epochs` is given.
  ///
  /// - Throws: ``Failure`` with status ``ExitStatus/usage``.
  func checkSchedule(totalSteps: Int) throws(Failure) {
    guard schedule.name == .cosine, schedule.warmupSteps >= schedule.totalSteps ?? totalSteps else { return }
    throw Failure(
      .usage, "'schedule.warmup_steps' is \(schedule.warmupSteps), which leaves no step after the warm-up",
      cause: "the run has \(totalSteps) \(totalSteps == 1 ? "step" : "steps")",
      remedy: "give fewer steps than the run has, or more epochs")
  }
}

extension Trainer {
  /// How changed settings alter the learning rate of a resumed run, one sentence per reason.
  ///
  /// A schedule is a function of the step, so a change of its length or base rate changes the rate at once, which
  /// "changed
  /// since: training.epochs" does not tell the user.
  func scheduleChanges(since saved: RunConfiguration, _ header: CheckpointHeader) -> [String] {
    let savedSteps = saved.training.length.totalSteps(windows: task.batchesPerEpoch, from: position)
    var before = saved.learningRateSchedule(totalSteps: savedSteps)
    guard before.restore(header.scheduleState) == nil else { return [] }
    let was = before.rate(step: position.step, epoch: position.epoch)
    let now = schedule.rate(step: position.step, epoch: position.epoch)
    var changes: [String] = []
    if case .cosine(let end, _) = schedule.kind, case .cosine(let savedEnd, _) = before.kind, end != savedEnd {
      changes.append(
        "the cosine schedule ends at step \(grouped(end)) instead of \(grouped(savedEnd)), and the learning rate is that "
          + "of the new curve; schedule.total_steps sets its end")
    }
    guard was != now else { return changes }
    var change = "learning rate of the next step: \(significant(now)), where it would have been \(significant(was))"
    if case .plateau = schedule.kind, schedule.plateauFactor != 1 {
      change +=
        ": optimizer.learning_rate \(significant(schedule.baseRate)) times \(significant(schedule.plateauFactor)), to "
        + "which the plateau schedule has fallen; for a rate of \(significant(schedule.baseRate)) set it to "
        + significant(schedule.baseRate / schedule.plateauFactor)
    }
    return changes + [change]
  }
}
