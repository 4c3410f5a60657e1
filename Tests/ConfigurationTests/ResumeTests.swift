import Configuration
import Failures
import Testing

@Suite struct ResumeTests {
  private func complaint(_ overrides: String...) throws -> String {
    let saved = try load(minimal)
    let requested = try RunConfiguration(yaml: minimal, source: "c.yaml", overrides: overrides)
    do {
      try requested.checkResumable(from: saved)
      return "no error"
    } catch {
      #expect(error.exitStatus == .usage)
      return error.description
    }
  }

  @Test(arguments: [
    "training.epochs=9", "training.steps=9", "training.validate_every=9", "training.checkpoint_every=9",
    "training.exchange=allreduce", "training.log_every=9", "training.clip_norm=9", "run.keep=9", "run.directory=other",
    "data.corpus=moved", "optimizer.learning_rate=9",
  ])
  func theseMayChange(override: String) throws {
    #expect(try complaint(override) == "no error")
    #expect(try !load(minimal, override).differences(from: load(minimal)).isEmpty)
  }

  @Test(arguments: [
    ("model.layers=3", "model.layers (2 in the checkpoint, 3 now)"),
    ("model.dropout=0.5", "model.dropout (0.0 in the checkpoint, 0.5 now)"),
    ("data.streams=21", "data.streams (20 in the checkpoint, 21 now)"),
    ("data.window=36", "data.window (35 in the checkpoint, 36 now)"),
    ("training.gradient_shards=4", "training.gradient_shards (8 in the checkpoint, 4 now)"),
    ("training.seed=2", "training.seed (1 in the checkpoint, 2 now)"),
    ("training.loss_reduction=window_sum", "training.loss_reduction (token_mean in the checkpoint, window_sum now)"),
    ("optimizer.name=adam", "optimizer.name (sgd in the checkpoint, adam now)"),
    ("schedule.name=plateau", "schedule.name (constant in the checkpoint, plateau now)"),
  ])
  func theseMayNot(override: String, difference: String) throws {
    #expect(
      try complaint(override)
        == "cannot resume under another \(difference); set it back, or start a new run without --resume")
  }

  @Test func allThatStandInTheWayAreNamed() throws {
    #expect(
      try complaint("model.cell=gru", "training.seed=2", "run.keep=9")
        == "cannot resume under another model.cell (lstm in the checkpoint, gru now), "
        + "training.seed (1 in the checkpoint, 2 now); "
        + "set them back, or start a new run without --resume")
  }

  @Test func equalConfigurationsDoNotDiffer() throws {
    #expect(try load(minimal).differences(from: load(load(minimal).yaml)).isEmpty)
  }

  @Test func aValueChangedInCodeIsChecked() throws {
    var configuration = try load(minimal)
    configuration.model.layers = 0
    #expect(throws: Failure(.usage, "'model.layers' cannot be '0'", remedy: "give an integer from 1 to 256")) {
      try configuration.validate()
    }
    configuration = try load(minimal)
    configuration.optimizer.learningRate = .nan
    #expect(throws: Failure.self) { try configuration.validate() }
  }
}
