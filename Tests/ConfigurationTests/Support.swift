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

/// Steele, Lea & Flood 2014; a seeded generator makes a failure repeat itself.
struct SplitMix64: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
