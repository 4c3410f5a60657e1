import Kernels
import TestSupport
import Testing

extension EndToEndTests {
  /// A run that was stopped and resumed ends with the bits of one that was not.
  @Suite struct ResumeTests {
    struct Recipe: Sendable, CustomTestStringConvertible {
      let testDescription: String
      let changes: [String: String?]
    }

    private static let recipes = [
      Recipe(
        testDescription: "momentum, plateau",
        changes: [
          "optimizer.name": "sgd", "optimizer.learning_rate": "1.0", "optimizer.momentum": "0.8",
          "schedule.name": "plateau", "schedule.factor": "0.5", "schedule.patience": "0", "schedule.threshold": "0.05",
        ]),
      Recipe(
        testDescription: "gru, adam, cosine",
        changes: [
          "model.cell": "gru", "schedule.name": "cosine", "schedule.warmup_steps": "5", "schedule.total_steps": "60",
        ]),
      Recipe(
        testDescription: "elman, rmsprop, step decay, tied",
        changes: [
          "model.cell": "elman", "model.activation": "relu", "model.embedding_size": "12", "model.tie_weights": "true",
          "optimizer.name": "rmsprop", "schedule.name": "step_decay", "schedule.factor": "0.5",
          "schedule.after_epoch": "1",
        ]),
    ]

    private static let otherWorkers: [Workspace.Workers] =
      [.alone, .threads(3)] + (MPIRun.isAvailable ? [.ranks(2), .ranks(3)] : [])

    @Test(arguments: recipes)
    func resumedEqualsUninterrupted(_ recipe: Recipe) throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 1500)
      let changes = [
        "model.dropout": "0.25", "training.steps": "50", "training.validate_every": "10",
        "training.checkpoint_every": "17", "run.directory": "whole", "run.keep": "20",
      ]
      try workspace.configure(recipe.changes.merging(changes) { $1 })
      let whole = try workspace.succeed(["train", "run.yaml"], .threads(2))
      let (digest, saved) = (try #require(whole.weightDigest), try workspace.saved("whole"))
      let middle = "whole/checkpoints/step-0000000017.h5"
      let halfway = try SavedRun(checkpoint: workspace.file(middle))
      #expect(halfway.window > 0, "the checkpoint should be in the middle of an epoch")

      for (index, workers) in Self.otherWorkers.enumerated() {
        let directory = "resumed-\(index)"
        let outcome = try workspace.succeed(
          ["train", "run.yaml", "--resume", middle, "--set", "run.directory=\(directory)"], workers)
        #expect(outcome.weightDigest == digest, "\(workers)")
        #expect(try workspace.saved(directory) == saved, "\(workers)")
      }
    }

    @Test func anotherArithmeticIsSaid() throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 1500)
      try workspace.configure(["training.steps": "4"])
      try workspace.succeed(["train", "run.yaml"])
      func resume(_ name: String, _ options: [String]) throws -> String {
        try workspace.succeed(
          [
            "train", "run.yaml", "--resume", "run/latest", "--set", "training.steps=6", "--set",
            "run.directory=\(name)",
          ]
            + options
        ).standardError
      }
      #expect(try !resume("same", []).contains("the last bits will differ"))
      let best = Arithmetic.best.instructionSet
      for arithmetic in Arithmetic.available.dropLast() {
        let other = arithmetic.instructionSet
        let line =
          "computed with \(best.name), f32 until now, and with \(other.name), f32 from here on: "
          + "the last bits will differ"
        #expect(try resume(other.rawValue, ["--kernels", other.rawValue]).contains(line))
      }
    }

    @Test func aFinishedRunGoesOnWithMoreSteps() throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 1500)
      try workspace.configure(["model.dropout": "0.25", "training.steps": "21", "run.directory": "whole"])
      let whole = try workspace.succeed(["train", "run.yaml"])
      let shorter = ["train", "run.yaml", "--set", "run.directory=parts", "--set"]
      try workspace.succeed(shorter + ["training.steps=4"], .threads(2))
      try workspace.succeed(shorter + ["training.steps=13", "--resume", "latest"], .threads(3))
      let last = try workspace.succeed(shorter + ["training.steps=21", "--resume", "latest"])
      #expect(last.weightDigest == whole.weightDigest)
      #expect(try workspace.saved("parts").tensors == workspace.saved("whole").tensors)
      #expect(try steps(workspace, "parts") == steps(workspace, "whole"))
      // Nothing is left to do, which is no error and changes nothing.
      let again = try workspace.succeed(shorter + ["training.steps=21", "--resume", "latest"])
      #expect(again.weightDigest == whole.weightDigest)
      #expect(try steps(workspace, "parts") == steps(workspace, "whole"))
    }

    /// Steps and losses of the training rows, which a resumed run neither repeats nor skips.
    private func steps(_ workspace: Workspace, _ run: String) throws -> [Substring] {
      try workspace.read("\(run)/metrics.jsonl").split(separator: "\n").filter { $0.contains("\"loss\"") }
        .compactMap { $0.split(separator: ",\"tokens\"").first }
    }
  }
}
