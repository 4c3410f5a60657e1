import ArgumentParser
import Configuration
import Files

struct ConfigReferenceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "config", abstract: "List the keys of a configuration, with defaults and meanings.")

  func run() throws { try StandardOutput.print(RunConfiguration.reference) }
}
