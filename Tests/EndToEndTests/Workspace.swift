import Foundation
import TestSupport
import Testing

/// A temporary directory that a test works in: texts, corpora, configurations, runs. The command runs inside of it, so
/// that messages hold relative paths. It vanishes with its owner.
final class Workspace {
  private let directory: TemporaryDirectory
  var path: String { directory.path }

  init() throws { directory = try TemporaryDirectory() }

  func file(_ name: String) -> String { directory.file(name) }

  func exists(_ name: String) -> Bool { access(file(name), F_OK) == 0 }

  func write(_ text: String, to name: String) throws {
    try text.write(toFile: file(name), atomically: true, encoding: .utf8)
  }

  func read(_ name: String) throws -> String { try String(contentsOfFile: file(name), encoding: .utf8) }

  func bytes(_ name: String) throws -> Data { try directory.bytes(name) }

  func names(in directory: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: file(directory)).sorted()
  }

  func copy(_ source: String, to destination: String) throws {
    try FileManager.default.copyItem(atPath: file(source), toPath: file(destination))
  }

  // MARK: The command

  /// Who does the work.
  enum Workers: Sendable, CustomStringConvertible {
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

  static let environment = ["COLUMNS": "100", "LC_ALL": "C.UTF-8"]

  /// - Parameter options: those of mpirun, for ranks.
  func start(
    _ arguments: [String], _ workers: Workers = .alone, options: [String] = []
  ) throws -> ChildProcess {
    switch workers {
    case .alone:
      try ChildProcess(
        "lockstep", arguments, environment: ChildProcess.inheritedEnvironment.merging(Self.environment) { $1 },
        directory: path)
    case .threads(let count): try start(arguments + ["--workers", "\(count)"])
    case .ranks(let count):
      try MPIRun.start(
        ranks: count, "lockstep", arguments, environment: Self.environment, directory: path, options: options)
    }
  }

  /// Runs a line of bash, in which `lockstep` is the command; a minute at most.
  func shell(_ line: String) throws -> ChildProcess.Outcome {
    let command = ChildProcess.path(of: "lockstep")
    let outcome = try ChildProcess.run(
      "bash", ["-c", "lockstep() { '\(command)' \"$@\"; }; \(line)"],
      environment: ChildProcess.inheritedEnvironment.merging(Self.environment) { $1 }, directory: path,
      deadline: .seconds(60))
    #expect(!outcome.timedOut, "\(line) hung")
    return outcome
  }

  /// Starts the command and waits for its end, a minute at most.
  func run(_ arguments: [String], _ workers: Workers = .alone) throws -> ChildProcess.Outcome {
    let outcome = try start(arguments, workers).wait(deadline: .seconds(60))
    #expect(!outcome.timedOut, "\(arguments) hung")
    return outcome
  }

  /// Runs the command, which must succeed.
  @discardableResult
  func succeed(
    _ arguments: [String], _ workers: Workers = .alone, sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> ChildProcess.Outcome {
    let outcome = try run(arguments, workers)
    try #require(
      outcome.status == 0, "\(arguments), \(workers): \(outcome.standardError)", sourceLocation: sourceLocation)
    return outcome
  }

  /// Runs the command, which must fail with this status and one message.
  /// - Returns: the message.
  @discardableResult
  func fail(
    _ status: Int32, _ arguments: [String], _ workers: Workers = .alone,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> String {
    let outcome = try run(arguments, workers)
    #expect(outcome.status == status, "\(arguments): \(outcome.standardError)", sourceLocation: sourceLocation)
    #expect(outcome.errorLines.count == 1, "\(arguments): \(outcome.standardError)", sourceLocation: sourceLocation)
    return outcome.errorLines.first ?? ""
  }

  // MARK: Data

  /// Published data that some tests read in place: the folder in LOCKSTEP_DATA, or one beside the checkout.
  static let sharedData: String? = {
    let beside = (#filePath as NSString).deletingLastPathComponent + "/../../../shared/data"
    let folder = ProcessInfo.processInfo.environment["LOCKSTEP_DATA"] ?? beside
    return access(folder, R_OK) == 0 ? folder : nil
  }()

  /// Writes a text and makes a corpus of it.
  func prepare(
    _ corpus: String = "corpus", characters: Int = 6000, arguments: [String] = []
  ) throws {
    try write(Self.text(characters: characters), to: "text.txt")
    try succeed(["prepare", "text.txt", "--output", corpus] + arguments)
  }

  /// Sentences of few words in no meaningful order, the same on every machine.
  static func text(characters: Int) -> String {
    let words = [
      "the", "river", "a", "stone", "under", "light", "sang", "slowly", "and", "birds", "Ähre", "where", "we",
    ]
    var state: UInt64 = 2014
    var text = ""
    while text.utf8.count < characters {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let draw = Int(state >> 33)
      text += words[draw % words.count] + (draw / 16 % 6 == 0 ? ".\n" : " ")
    }
    return text
  }

  /// Writes labelled sentences, of which a word's label follows from the next word, and makes a corpus of them.
  func prepareSentences(_ corpus: String = "corpus", arguments: [String] = []) throws {
    var state: UInt64 = 2014
    func draw(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    let sentences = (0..<60).map { index in
      let words = index == 0 ? Array(0..<12) : (0...draw(12)).map { _ in draw(12) }
      return zip(words, words.dropFirst() + [0]).map { "word\($0)\t_\tTAG\($1 % 3)\n" }.joined()
    }
    try write(sentences.joined(separator: "\n"), to: "sentences.tsv")
    try succeed(["prepare", "sentences.tsv", "--task", "tagging", "--output", corpus] + arguments)
  }

  /// A small configuration of a tagger, with other values for some keys; nil removes a key.
  func configureTagger(_ changes: [String: String?] = [:], as name: String = "run.yaml") throws {
    let tagger =
      ["data.streams": nil, "data.window": nil, "data.batch": "9", "model.bidirectional": "true"] as [String: String?]
    try configure(tagger.merging(changes) { $1 }, task: "tagging", as: name)
  }

  /// A small configuration, with other values for some keys; nil removes a key.
  func configure(_ changes: [String: String?] = [:], task: String? = nil, as name: String = "run.yaml") throws {
    var values: [String: String?] = [
      "model.cell": "lstm", "model.layers": "2", "model.hidden_size": "12", "model.embedding_size": "10",
      "data.corpus": "corpus", "data.streams": "7", "data.window": "9",
      "optimizer.name": "adam", "optimizer.learning_rate": "0.01",
      "training.steps": "12", "training.gradient_shards": "5", "training.clip_norm": "1.0", "training.log_every": "5",
      "run.directory": "run",
    ]
    values.merge(changes) { $1 }
    var text = task.map { "task: \($0)\n" } ?? ""
    for section in ["model", "data", "optimizer", "schedule", "training", "run"] {
      let keys = values.filter { $0.key.hasPrefix(section + ".") && $0.value != nil }.sorted { $0.key < $1.key }
      guard !keys.isEmpty else { continue }
      text += section + ":\n"
      for (key, value) in keys { text += "  \(key.dropFirst(section.count + 1)): \(value ?? "")\n" }
    }
    try write(text, to: name)
  }
}

extension ChildProcess.Outcome {
  /// Our own messages, without what mpirun adds to them.
  var errorLines: [String] {
    standardError.split(separator: "\n").map(String.init).filter { $0.hasPrefix("error: ") }
  }

  /// The digest that `train` prints at its end.
  var weightDigest: String? {
    standardOutput.split(separator: "\n").first { $0.hasPrefix("weights sha256 ") }?.split(separator: " ").last
      .map(String.init)
  }

  /// Standard output as one JSON object.
  func jsonObject() throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(standardOutput.utf8)) as? [String: Any])
  }
}
