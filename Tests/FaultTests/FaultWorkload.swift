import Foundation
import TestSupport
import Testing

/// Who trains.
enum FaultWorkers: Sendable, CustomStringConvertible {
  case alone
  case threads(Int)
  case ranks(Int)

  var description: String {
    switch self {
    case .alone: "one process"
    case .threads(let count): "--workers \(count)"
    case .ranks(let count): "mpirun -n \(count)"
    }
  }
}

/// A short run with many checkpoints, what it comes to when nobody disturbs it, and directories to repeat it in.
final class FaultWorkload: Sendable {
  let path: String
  /// How the undisturbed run ended.
  let whole: FinishedRun
  /// Calls that concern the run directory, in order: the groups of the shim. Their number weights a moment to the writing of
  /// checkpoints, where nearly all of them are.
  let calls: [String]
  /// How long the run takes in one process.
  let wallTime: Duration
  /// Bytes in the run directory at its end.
  let size: Int

  static let deadline = Duration.seconds(120)

  init() throws {
    let made = try TrialPlace.make("faults")
    // As the kernel names it in /proc, which is what the shim compares with.
    let real = realpath(made, nil)
    defer { free(real) }
    path = real.map { String(cString: $0) } ?? made
    try MutationFixture.text(sentences: 100, seed: 9).write(
      toFile: path + "/text.txt", atomically: true, encoding: .utf8)
    try Self.configuration.write(toFile: path + "/run.yaml", atomically: true, encoding: .utf8)
    let prepared = try TrialCommand(arguments: ["prepare", "text.txt", "--output", "corpus"], directory: path).run()
    try #require(prepared.status == 0, "\(prepared.standardError)")

    let directory = path + "/whole"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    let trace = path + "/trace"
    let outcome = try TrialCommand(
      arguments: Self.arguments, directory: directory,
      environment: FaultShim.variables(below: directory + "/run", trace: trace)
    ).run()
    try #require(outcome.status == 0, "\(outcome.standardError)")
    wallTime = outcome.wallTime
    calls = try String(contentsOfFile: trace, encoding: .utf8).split(separator: "\n").map {
      String($0.prefix { $0 != " " })
    }
    try #require(calls.count > 100)
    whole = try FinishedRun(directory: directory + "/run", outcome: outcome)
    size = FileManager.default.enumerator(atPath: directory + "/run")!.reduce(0) { sum, name in
      sum + ((try? FileManager.default.attributesOfItem(atPath: "\(directory)/run/\(name)")[.size] as? Int) ?? 0)
    }
    let flaws = whole.flaws(comparedWith: whole)
    try #require(flaws.isEmpty, "\(flaws)")
  }

  static let arguments = ["train", "../run.yaml"]

  private static let configuration = """
    model: {cell: lstm, layers: 2, hidden_size: 12, embedding_size: 10, dropout: 0.2}
    data: {corpus: ../corpus, streams: 7, window: 9}
    optimizer: {name: adam, learning_rate: 0.01}
    schedule: {name: plateau}
    training: {epochs: 2, gradient_shards: 5, clip_norm: 1.0, log_every: 10, checkpoint_every: 6, seed: 4}
    run: {directory: run, keep: 2}

    """

  /// A new directory for one trial.
  func trialDirectory(_ name: String) throws -> String {
    let directory = "\(path)/\(name)"
    try? FileManager.default.removeItem(atPath: directory)
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    return directory
  }

  /// Starts the run in a trial's directory.
  func start(
    _ workers: FaultWorkers, in directory: String, environment: [String: String] = [:], arguments: [String] = []
  ) throws -> ChildProcess {
    let variables = TrialCommand.variables.merging(environment) { $1 }
    let all = Self.arguments + arguments
    switch workers {
    case .alone:
      return try ChildProcess(
        "lockstep", all, environment: ChildProcess.inheritedEnvironment.merging(variables) { $1 }, directory: directory)
    case .threads(let count):
      return try start(
        .alone, in: directory, environment: environment, arguments: arguments + ["--workers", "\(count)"])
    case .ranks(let count):
      return try MPIRun.start(ranks: count, "lockstep", all, environment: variables, directory: directory)
    }
  }
}
