import ArgumentParser
import Configuration

struct ConfigReferenceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "List the keys of a configuration, with defaults and meanings.")

  func run() { print(RunConfiguration.reference) }
}
