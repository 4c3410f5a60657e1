import TestSupport
import Testing

extension EndToEndTests {
  /// The number of workers changes the speed and nothing else.
  @Suite struct WorkerCountTests {
    struct Recipe: Sendable, CustomTestStringConvertible {
      let testDescription: String
      let changes: [String: String?]
    }

    private static let recipes = [
      Recipe(
        testDescription: "lstm, untied, momentum, window_sum",
        changes: [
          "model.cell": "lstm", "optimizer.name": "sgd", "optimizer.learning_rate": "0.5", "optimizer.momentum": "0.9",
          "training.loss_reduction": "window_sum",
        ]),
      Recipe(
        testDescription: "lstm, tied, adam",
        changes: [
          "model.cell": "lstm", "model.embedding_size": "80", "model.tie_weights": "true", "model.forget_bias": "1.0",
        ]),
      Recipe(
        testDescription: "gru reset after, tied, rmsprop",
        changes: [
          "model.cell": "gru", "model.embedding_size": "80", "model.tie_weights": "true", "optimizer.name": "rmsprop",
        ]),
      Recipe(
        testDescription: "gru reset before, untied, adam with decay",
        changes: [
          "model.cell": "gru", "model.reset": "before", "optimizer.weight_decay": "0.001",
        ]),
      Recipe(
        testDescription: "elman, untied, adagrad",
        changes: [
          "model.cell": "elman", "model.layers": "3", "model.hidden_size": "112", "optimizer.name": "adagrad",
        ]),
    ]

    @Test(arguments: recipes)
    func weightsAreTheSameBits(_ recipe: Recipe) throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 1500)
      // Past the end of the epoch, with its ragged window; shares of streams, shards and weights are uneven, and there
      // are enough weights that each worker owns some.
      let changes = [
        "model.hidden_size": "80", "model.embedding_size": "72", "model.dropout": "0.3", "training.steps": "30",
        "training.validate_every": "13",
      ]
      try workspace.configure(recipe.changes.merging(changes) { own, _ in own })
      let alone = try workspace.succeed(["train", "run.yaml", "--set", "run.directory=alone"])
      let digest = try #require(alone.weightDigest)
      let saved = try workspace.saved("alone")
      #expect(saved.step == 30 && saved.epoch >= 1)

      let ranks = MPIRun.isAvailable ? (2...4).map(Workspace.Workers.ranks) : []
      for (index, workers) in ((1...4).map(Workspace.Workers.threads) + ranks).enumerated() {
        let directory = "run-\(index)"
        let outcome = try workspace.succeed(["train", "run.yaml", "--set", "run.directory=\(directory)"], workers)
        #expect(outcome.weightDigest == digest, "\(workers)")
        #expect(try workspace.saved(directory) == saved, "\(workers)")
      }
    }

    /// The test above would pass with a digest of nothing, so this one sees it differ.
    @Test func anotherSeedGivesOtherWeights() throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 1500)
      try workspace.configure(["training.steps": "2"])
      let digests = try (1...2).map {
        try workspace.succeed(
          ["train", "run.yaml", "--set", "run.directory=run-\($0)", "--set", "training.seed=\($0)"]).weightDigest
      }
      #expect(digests[0] != nil && digests[0] != digests[1])
      #expect(try workspace.saved("run-1").tensors != workspace.saved("run-2").tensors)
    }

    @Test(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
    func oneRankIsLikeOneProcess() throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 1500)
      try workspace.configure(["model.dropout": "0.3"])
      let alone = try workspace.succeed(["train", "run.yaml"])
      let rank = try workspace.succeed(["train", "run.yaml", "--set", "run.directory=rank"], .ranks(1))
      #expect(rank.weightDigest != nil && rank.weightDigest == alone.weightDigest)
      #expect(try workspace.saved("rank") == workspace.saved())
    }

    @Test func plainAllreduceTrainsAsWell() throws {
      let workspace = try Workspace()
      try workspace.prepare(characters: 1500)
      try workspace.configure(["training.exchange": "allreduce", "training.steps": "4"])
      try workspace.succeed(["train", "run.yaml", "--set", "run.directory=threads"], .threads(3))
      #expect(try workspace.saved("threads").step == 4)
      if MPIRun.isAvailable {
        try workspace.succeed(["train", "run.yaml", "--set", "run.directory=ranks"], .ranks(2))
        #expect(try workspace.saved("ranks").step == 4)
      }
    }
  }
}
