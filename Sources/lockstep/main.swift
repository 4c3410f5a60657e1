import ArgumentParser
import Failures
import Foundation

// The command with its one subcommand so far.
struct Lockstep: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "lockstep", subcommands: [PrepareCommand.self])
}

do {
  var command = try Lockstep.parseAsRoot()
  try command.run()
} catch let error as any ReportableError {
  FileHandle.standardError.write(Data("lockstep: \(error)\n".utf8))
  exit(error.exitStatus.rawValue)
} catch {
  Lockstep.exit(withError: error)
}
