import ArgumentParser

/// The option for memory sharing between ranks on one machine.
struct MemoryOptions: ParsableArguments {
  @Flag(
    name: .customLong("no-shared-memory"),
    help: ArgumentHelp(
      "Give each MPI rank weights of its own, and let them exchange messages, on one machine too. Results are the same."
    ))
  var apart = false

  /// The settings that all ranks must have in common.
  var settings: [(name: String, value: String)] { [("--no-shared-memory", "\(apart)")] }
}
