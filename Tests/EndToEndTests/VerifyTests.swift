import TestSupport
import Testing

extension EndToEndTests {
  @Suite struct VerifyTests {
    @Test func allNumbersOfWorkersGiveTheSameBits() throws {
      let workspace = try Workspace()
      try workspace.prepare()
      try workspace.configure(["model.dropout": "0.2"])
      let outcome = try workspace.succeed(["verify", "run.yaml", "--workers", "1,2,3,5", "--steps", "3"])
      #expect(
        outcome.standardOutput == """
          1 worker: 3 steps
          2 workers: the same bits
          3 workers: the same bits
          5 workers: the same bits

          """)
      #expect(!workspace.exists("run"))
    }

    @Test func aDifferenceIsNamed() throws {
      let workspace = try Workspace()
      try workspace.prepare()
      try workspace.configure(["training.exchange": "allreduce", "model.hidden_size": "64"])
      let message = try workspace.fail(70, ["verify", "run.yaml", "--workers", "1,3"])
      #expect(message.contains("3 workers and 1 give other bits"), "\(message)")
      #expect(message.contains("the first tensor that differs at the end is encoder.weight"), "\(message)")
      #expect(message.contains("allreduce"), "\(message)")
      #expect(!workspace.exists("run"))
    }

    @Test(arguments: [
      ["--workers", "2"], ["--workers", "1,x"], ["--workers", "0,1"], ["--steps", "0"], ["--workers", "1,9"],
    ])
    func nonsenseIsRefused(arguments: [String]) throws {
      let workspace = try Workspace()
      try workspace.prepare()
      try workspace.configure()
      try workspace.fail(64, ["verify", "run.yaml"] + arguments)
    }
  }
}
