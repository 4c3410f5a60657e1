import ArgumentParser

/// How ranks that all run on one machine use its memory.
struct MemoryOptions: ParsableArguments {
  @Flag(
    name: .customLong("no-shared-memory"),
    help: ArgumentHelp(
      "Give each MPI rank weights of its own, and let them exchange messages, on one machine too. Results are the same."
    ))
  var apart = false

  /// For the comparison of what ranks were started with.
  var settings: [(name: String, value: String)] { [("--no-shared-memory", "\(apart)")] }
}
