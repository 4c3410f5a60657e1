import ArgumentParser
import Failures
import Foundation
import Workers

/// The command. Each subcommand has a file of its own.
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
      PrepareCommand.self, TrainCommand.self, EvaluateCommand.self, GenerateCommand.self, InspectCommand.self,
      BenchmarkCommand.self, ConfigReferenceCommand.self,
    ])

  static func main() {
    let command: any ParsableCommand
    do {
      command = try parseAsRoot()
    } catch {
      // Under mpirun every rank parses the same wrong words; one message is enough.
      guard WorkerLaunch.isFirstProcess else { Foundation.exit(exitCode(for: error).rawValue) }
      exit(withError: error)
    }
    do {
      var command = command
      try command.run()
    } catch let error as any ReportableError {
      Foundation.exit(WorkerLaunch.report(error).rawValue)
    } catch let error as Foundation.CocoaError {
      Foundation.exit(WorkerLaunch.report(error).rawValue)
    } catch {
      guard WorkerLaunch.isFirstProcess else { Foundation.exit(exitCode(for: error).rawValue) }
      exit(withError: error)
    }
  }
}
