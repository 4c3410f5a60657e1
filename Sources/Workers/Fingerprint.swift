import Crypto
import Failures
import Foundation

/// What must be the same on all workers before they train together, in the order in which differences are told.
package struct Fingerprint: Sendable, Equatable {
  /// One thing that must be the same.
  package struct Entry: Sendable, Equatable, Codable {
    /// As messages name it: `training.seed`, `the build of lockstep`.
    package let name: String
    package let value: String
    /// What to do where workers differ in it.
    package let remedy: String
    /// How the command ends where workers differ in it.
    package let exitStatus: ExitStatus
  }

  package private(set) var entries: [Entry] = []

  package init() {}

  package mutating func add(
    _ name: String, _ value: String, remedy: String, exitStatus: ExitStatus = .usage
  ) {
    entries.append(Entry(name: name, value: value, remedy: remedy, exitStatus: exitStatus))
  }

  /// The SHA-256 of names and values.
  var digest: SHA256Digest {
    var hash = SHA256()
    for text in entries.flatMap({ [$0.name, $0.value] }) {
      withUnsafeBytes(of: UInt64(text.utf8.count).littleEndian) { hash.update(bufferPointer: $0) }
      hash.update(data: Data(text.utf8))
    }
    return hash.finalize()
  }
}

extension WorkerGroup {
  /// Checks that all workers have the same fingerprint; collective.
  ///
  /// Sends messages of a fixed size unless there is a difference, so it may come before anything that workers could
  /// disagree on. Throws the same ``WorkerFailure`` on all, which names ranks, hosts and what differs.
  package func compare(_ fingerprint: Fingerprint) throws {
    guard count > 1 else { return }
    let size = SHA256Digest.byteCount
    var digests = [UInt8](repeating: 0, count: size * count)
    let segments = (0..<count).map { ($0 * size)..<(($0 + 1) * size) }
    digests.replaceSubrange(segments[rank], with: Array(fingerprint.digest))
    try digests.withUnsafeMutableBytes { try allGather($0, segments: segments) }
    guard segments.contains(where: { digests[$0] != digests[segments[0]] }) else { return }

    let own = FingerprintStatement(worker: name, entries: fingerprint.entries)
    let statements = try gather(own)
    let failure = FingerprintStatement.difference(statements)
    throw WorkerFailure(
      rank: 0, message: failure.description, exitStatus: failure.exitStatus, failedEverywhere: true)
  }
}

/// What one worker says when fingerprints differ.
private struct FingerprintStatement: Codable {
  let worker: WorkerName
  let entries: [Fingerprint.Entry]

  /// How a worker's value differs from the first worker's.
  private struct Difference {
    let entry: Fingerprint.Entry
    let own: String
    let first: String
  }

  private static let mostDifferences = 4

  /// Describes how the first worker that differs does so, and which others do.
  static func difference(_ statements: [FingerprintStatement]) -> Failure {
    let first = statements[0]
    let others = statements.dropFirst().filter { !$0.differences(from: first).isEmpty }
    guard let example = others.first else {
      return Failure(.softwareFault, "workers have other digests of the same fingerprint")
    }
    let alike = others.filter { $0.entries == example.entries }
    let unlike = others.filter { $0.entries != example.entries }
    let differences = example.differences(from: first)
    var parts = differences.prefix(mostDifferences).enumerated().map { index, difference in
      "\(difference.entry.name) is \(difference.own), "
        + "\(index == 0 ? "\(first.worker)" : "rank \(first.worker.rank)") has \(difference.first)"
    }
    if differences.count > mostDifferences { parts.append("\(differences.count - mostDifferences) more differences") }
    if !unlike.isEmpty { parts.append("\(WorkerName.list(unlike.map(\.worker))): other differences") }
    return Failure(
      differences[0].entry.exitStatus, parts.joined(separator: "; "), at: WorkerName.list(alike.map(\.worker)),
      remedy: differences[0].entry.remedy)
  }

  private func differences(from first: FingerprintStatement) -> [Difference] {
    let (mine, theirs) = (values, first.values)
    let names = entries + first.entries.filter { mine[$0.name] == nil }
    return names.compactMap { entry in
      let (own, other) = (mine[entry.name], theirs[entry.name])
      guard own != other else { return nil }
      return Difference(entry: entry, own: own ?? "not given", first: other ?? "none")
    }
  }

  private var values: [String: String] {
    Dictionary(entries.map { ($0.name, $0.value) }, uniquingKeysWith: { "\($0), \($1)" })
  }
}
