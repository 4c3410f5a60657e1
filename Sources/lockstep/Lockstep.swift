import ArgumentParser
import Failures
import Files
import Foundation
import Signals
import Training
import Workers

/// The root command; each subcommand has its own file.
@main
struct Lockstep: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lockstep",
    abstract: "Train recurrent language models, data-parallel over MPI.",
    discussion: """
      A first run: 'lockstep prepare TEXT --output CORPUS', then 'lockstep train CONFIG.yaml --set data.corpus=CORPUS', \
      on N cores 'mpirun -n N lockstep train …'.

      EXIT STATUS
        0   done
        64  wrong usage or configuration
        65  missing or damaged data
        70  a fault of the program's own, or a run that diverged
        73  a file that can't be written
        75  stopped by a signal after a good checkpoint: start the same command with --resume latest
      """,
    version: "1.0.0",
    subcommands: [
      PrepareCommand.self, TrainCommand.self, EvaluateCommand.self, PredictCommand.self, GenerateCommand.self,
      InspectCommand.self,
      BaselineCommand.self, BenchmarkCommand.self, VerifyCommand.self, ConfigReferenceCommand.self,
    ])

  static func main() {
    StandardStreams.prepare()
    do {
      let arguments = try CommandLineWords.given()
      try checkSubcommand(arguments)
      if let subcommand = arguments.first { StopResponse(subcommand: subcommand)?.install() }
      if arguments.first == "prepare" {
        try PrepareCommand.checkArguments(Array(arguments.dropFirst()))
      }
      var command = try parseAsRoot(arguments)
      try requireOneProcess(unlessWorkersShare: command)
      try command.run()
      // A failed output must not fail a completed run, so train handles its own output errors.
      if !(command is TrainCommand) { try StandardOutput.finish() }
    } catch {
      end(with: error)
    }
  }

  /// Under mpirun, rejects commands that several ranks can't run together, except for help.
  private static func requireOneProcess(unlessWorkersShare command: any ParsableCommand) throws {
    guard !(command is any WorkerCommand), configuration.subcommands.contains(where: { $0 == type(of: command) }) else {
      return
    }
    let name = type(of: command).configuration.commandName ?? "lockstep"
    try WorkerLaunch.requireOneProcess(name, fingerprint: Fingerprint(command: name))
  }

  /// Gives a clearer error than the parser, which reports an unknown subcommand as unexpected arguments.
  private static func checkSubcommand(_ arguments: [String]) throws {
    guard let word = arguments.first, !word.hasPrefix("-") else { return }
    let names = configuration.subcommands.compactMap { $0.configuration.commandName }
    guard !names.contains(word), word != "help" else { return }
    throw Failure(
      .usage, "unknown subcommand '\(word)'",
      remedy: "the subcommands are \(names.joined(separator: ", ")); see 'lockstep --help'")
  }

  private static func end(with error: any Error) -> Never {
    // End as if SIGPIPE had not been ignored: silently, with status 141 in the shell.
    if error is StandardOutput.ReaderGone { StopSignal.end(by: SIGPIPE) }
    if let stop = error as? StopSignal.Interruption {
      StopSignal.awaitResponse()
      StopSignal.end(by: stop.signal)
    }
    // The parser's errors, help included, have their own exit codes; all others are reported here.
    guard !(error is any ReportableError), exitCode(for: error) != .failure else {
      Foundation.exit(WorkerLaunch.report(error).rawValue)
    }
    end(withParserMessage: error)
  }

  /// Ends with the parser's message: help, the version, or an error in the arguments.
  private static func end(withParserMessage error: any Error) -> Never {
    let status = exitCode(for: error)
    let message = fullMessage(for: error)
    guard status.isSuccess else {
      // The prefix is added by report, as for all other errors.
      let words = WrongWords(message.replacing(#/^Error: /#, with: ""), ExitStatus(rawValue: status.rawValue) ?? .usage)
      Foundation.exit(WorkerLaunch.report(words).rawValue)
    }
    // Under mpirun only the first process prints help.
    guard WorkerLaunch.isFirstProcess else { Foundation.exit(status.rawValue) }
    do {
      try StandardOutput.print(message)
      try StandardOutput.finish()
    } catch {
      end(with: error)
    }
    Foundation.exit(status.rawValue)
  }
}

/// A command that several workers can run together. Other commands refuse to run as several ranks.
protocol WorkerCommand: ParsableCommand {}

/// The parser's error about the arguments.
private struct WrongWords: ReportableError {
  let description: String
  let exitStatus: ExitStatus

  init(_ description: String, _ exitStatus: ExitStatus) {
    (self.description, self.exitStatus) = (description, exitStatus)
  }
}
