import ArgumentParser
import Configuration
import Failures

/// The option for a memory limit that replaces the system's limits.
struct MemoryLimitOption: ParsableArguments {
  @Option(
    name: .customLong("memory-limit"),
    help: ArgumentHelp(
      "Memory that may be used, such as 4 GiB. (default: the smallest of the limits of shell, control groups and machine)",
      valueName: "size"))
  var size: ByteCount?

  static let key = "--memory-limit"
}

extension ByteCount: ExpressibleByArgument {
  package init?(argument: String) { self.init(argument) }
}
