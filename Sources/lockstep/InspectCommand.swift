import ArgumentParser
import Checkpoints
import Corpus
import Failures
import Files
import Foundation

struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what a checkpoint, an n-gram model, a corpus or a shard file holds, and whether it is intact.",
    discussion: """
      The whole file is read and compared with its SHA-256; what is damaged ends the command with status 65. Also lists \
      the tensors of an HDF5 file for model.initial_parameters.
      """)

  @Argument(
    help: "Checkpoint, run directory (its latest), corpus directory, or a file of one.", completion: .file(),
    transform: PathName.expandingHome)
  var file: String

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let report = try Self.report(on: file)
    if json { try printJSON(report) } else { try StandardOutput.print(report.text) }
    if let damage = report.damage { throw damage }
  }

  private static func report(on path: String) throws -> any InspectionReport {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw Failure(.badData, "there is no such file or directory", at: path)
    }
    guard isDirectory.boolValue else { return try report(onFile: path) }
    if FileManager.default.fileExists(atPath: "\(path)/\(CorpusManifest.fileName)") {
      return try report(onCorpus: path)
    }
    while true {
      guard let latest = CheckpointStore.latest(in: path) else {
        throw Failure(
          .badData, "is neither a corpus nor a run directory with a checkpoint", at: path,
          remedy: "name a file, or the directory that 'lockstep prepare' or 'lockstep train' has made")
      }
      do {
        return try CheckpointReport(path: latest)
      } catch {
        // A run that is writing there may have replaced the checkpoint.
        guard CheckpointStore.latest(in: path) != latest else { throw error }
      }
    }
  }

  private static func report(onFile path: String) throws -> any InspectionReport {
    if try Seal.isPresent(in: path, as: .checkpoint) { return try CheckpointReport(path: path) }
    if try Seal.isPresent(in: path, as: .nGramModel) { return NGramReport(try NGramFile(path: path)) }
    if let kind = try CorpusFile(path: path) { return try report(on: kind, at: path) }
    let beginning = try firstBytes(of: path)
    guard beginning == Seal.hdf5Signature else {
      // An empty file, or a seal that was never written: Seal throws the right error.
      if beginning.allSatisfy({ $0 == 0 }) {
        // A zero user block before HDF5 content: tensors from another program, or an unfinished file of Lockstep's own.
        if try Seal.isPending(in: PosixFile(path)) { return try TensorsReport(path: path) }
        _ = try Seal(of: path, as: .checkpoint)
      }
      throw Failure(.badData, "is neither a Lockstep file nor an HDF5 file of tensors", at: path)
    }
    return try TensorsReport(path: path)
  }

  private static func report(onCorpus directory: String) throws -> any InspectionReport {
    let manifest = "\(directory)/\(CorpusManifest.fileName)"
    return try report(.manifest, at: manifest) {
      CorpusReport(summary: try CorpusSummary(directory: directory), directory: directory)
    }
  }

  private static func report(on kind: CorpusFile, at path: String) throws -> any InspectionReport {
    switch kind {
    case .manifest: try report(onCorpus: PathName(path).directory)
    case .shard: try report(.shard, at: path) { ShardReport(summary: try ShardSummary(file: path), path: path) }
    }
  }

  /// Damage to a file that is sealed as part of a corpus is reported, not thrown.
  private static func report(
    _ kind: CorpusFile, at path: String, _ body: () throws -> any InspectionReport
  ) throws -> any InspectionReport {
    do {
      return try body()
    } catch let failure as Failure where failure.place == path && (try? CorpusFile(path: path)) == kind {
      return DamagedCorpusReport(kind: kind, path: path, failure: failure)
    }
  }

  /// The first eight bytes, the size of the HDF5 signature, or fewer if the file is shorter.
  private static func firstBytes(of path: String) throws -> [UInt8] {
    guard let file = FileHandle(forReadingAtPath: path) else {
      throw Failure(.badData, "can't be opened", at: path, cause: String(cString: strerror(errno)))
    }
    return try [UInt8](file.read(upToCount: 8) ?? Data())
  }
}

/// The command's findings on a file: as JSON, as text, and its damage.
protocol InspectionReport: Encodable {
  /// Human-readable, without a final line end.
  var text: String { get }
  /// What is wrong with the file; nil if it is intact.
  var damage: Failure? { get }
}

extension InspectionReport {
  /// A heading and lines of facts in two columns; values wrap at 85 characters.
  func sheet(_ heading: String, _ facts: [(name: String, value: String?)]) -> [String] {
    [heading]
      + facts.flatMap { name, value in
        wrapped(value ?? "", width: 85).enumerated().map { index, line in
          "  \((index == 0 ? name : "").padding(toLength: 12, withPad: " ", startingAt: 0)) \(line)"
        }
      }
  }

  private func wrapped(_ text: String, width: Int) -> [String] {
    text.split(separator: " ").reduce(into: []) { lines, word in
      if let last = lines.last, last.count + 1 + word.count <= width {
        lines[lines.count - 1] += " " + word
      } else {
        lines.append(String(word))
      }
    }
  }
}
