import Checkpoints
import Configuration
import Failures
import Files
import Foundation

/// What an earlier run left in a directory besides checkpoints.
struct RunTraces {
  /// The run that `config.yaml` names.
  let identity: RunIdentity?
  let hasConfiguration: Bool
  let hasMetrics: Bool
  private let directory: String

  static func configurationPath(in directory: String) -> String { "\(directory)/config.yaml" }

  /// - Throws: ``Failure`` if a file exists but can't be read.
  init(in directory: String) throws {
    self.directory = directory
    let path = Self.configurationPath(in: directory)
    hasConfiguration = try Self.exists(path)
    hasMetrics = try Self.exists(MetricsFile.path(in: directory))
    identity = hasConfiguration ? RunIdentity(configuration: try Self.beginning(of: path)) : nil
  }

  /// Whether a run has used the directory. A configuration alone may be the user's own.
  var areOfARun: Bool { hasMetrics || identity != nil }

  /// The settings in which the earlier run differs from `configuration`, except those that do not affect the result.
  ///
  /// - Throws: ``Failure`` (usage) if its configuration can't be read.
  func differences(from configuration: RunConfiguration) throws -> [ConfigurationDifference] {
    let saved = try RunConfiguration(contentsOf: Self.configurationPath(in: directory))
    let others = ["run.directory", "run.keep", "training.log_every"]
    return configuration.differences(from: saved).filter { !others.contains($0.key) }
  }

  /// Moves the metrics of a run that ended before its first checkpoint to `abandoned/`.
  ///
  /// - Returns: their new path; nil if there were none.
  func setMetricsAside() throws -> String? {
    let path = MetricsFile.path(in: directory)
    guard hasMetrics else { return nil }
    guard try PosixFile(path).size() > 0 else {
      _ = unlink(path)
      return nil
    }
    let folder = "\(directory)/abandoned"
    var place = "\(folder)/start-\(identity?.id ?? "unnamed").jsonl"
    var count = 1
    guard mkdir(folder, 0o777) == 0 || errno == EEXIST else {
      throw Failure.posix(.cannotWrite, "can't create the directory for abandoned files", at: folder)
    }
    while try Self.exists(place) {
      count += 1
      place = "\(folder)/start-\(identity?.id ?? "unnamed")-\(count).jsonl"
    }
    try PosixFile.move(path, over: place)
    try PosixFile.synchronizeDirectory(folder)
    return place
  }

  private static func exists(_ path: String) throws -> Bool {
    var status = stat()
    if lstat(path, &status) == 0 { return true }
    guard errno == ENOENT else { throw Failure.posix(.cannotWrite, "can't be examined", at: path) }
    return false
  }

  private static func beginning(of path: String) throws -> String {
    String(decoding: try PosixFile(path).read(256, at: 0), as: UTF8.self)
  }
}

extension RunIdentity {
  /// The first line of a run's `config.yaml`, a YAML comment.
  var configurationLine: String {
    guard let parent else { return "# run \(id)\n" }
    return "# run \(id), forked from \(parent.run ?? "unnamed") at step \(parent.step)\n"
  }

  /// Parses ``configurationLine``; nil if the text does not begin with one.
  init?(configuration text: String) {
    let line = text.prefix { $0 != "\n" }
    guard let match = line.wholeMatch(of: #/# run ([0-9a-f]+)(?:, forked from ([0-9a-z]+) at step ([0-9]+))?/#) else {
      return nil
    }
    let parent = match.3.flatMap { Int($0) }.map { step in
      Parent(run: match.2.flatMap { $0 == "unnamed" ? nil : String($0) }, step: step)
    }
    self.init(id: String(match.1), parent: parent)
  }
}
