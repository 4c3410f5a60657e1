import TestSupport
import Testing

extension EndToEndTests {
  @Suite struct HelpTests {
    @Test(arguments: [
      "", "prepare", "train", "evaluate", "predict", "generate", "inspect", "baseline", "benchmark", "verify", "config",
    ])
    func helpIsAsWritten(subcommand: String) throws {
      let workspace = try Workspace()
      let arguments = (subcommand.isEmpty ? [] : [subcommand]) + ["--help"]
      let outcome = try workspace.run(arguments)
      #expect(outcome.status == 0)
      #expect(outcome.standardError == "")
      try GoldenFile.check(
        GoldenFile.transcript(arguments, outcome, workspace), subcommand.isEmpty ? "help" : "help-\(subcommand)")
    }

    @Test func configListsEveryKey() throws {
      let reference = try Workspace().succeed(["config"]).standardOutput
      for key in ["hidden_size", "corpus", "learning_rate", "after_epoch", "gradient_shards", "directory"] {
        #expect(reference.contains("| `\(key)` |"))
      }
    }
  }
}
