import ArgumentParser
import Checkpoints
import Configuration
import Corpus
import Failures
import Foundation
import HDF5
import Training

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what a checkpoint, a corpus or a shard of one holds, and whether it is intact.")

  @Argument(help: "Checkpoint, run directory (its latest), corpus directory, or a file of one.", completion: .file())
  var file: String

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    // a stub to be replaced
  }
}
