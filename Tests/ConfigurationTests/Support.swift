import Configuration
import Failures

/// The least that a configuration needs.
let minimal = """
  model:
    hidden_size: 8
  data:
    corpus: corpora/test
  training:
    epochs: 2
  run:
    directory: runs/test
  """

func load(_ yaml: String, _ overrides: String...) throws(Failure) -> RunConfiguration {
  try RunConfiguration(yaml: yaml, source: "c.yaml", overrides: overrides)
}

/// What loading says; "no error" if it says nothing, and the exit status in front if it is not 64.
func complaint(_ yaml: String, _ overrides: String...) -> String {
  do throws(Failure) {
    _ = try RunConfiguration(yaml: yaml, source: "c.yaml", overrides: overrides)
    return "no error"
  } catch {
    return (error.exitStatus == .usage ? "" : "\(error.exitStatus) ") + error.description
  }
}
