import Foundation
import TestSupport

/// What a run leaves behind that must not depend on what happened on the way.
struct FinishedRun: Sendable {
  /// The digest that `train` printed.
  let digest: String?
  /// The rows of metrics.jsonl, without the speeds and the run's identity.
  let rows: [String]
  /// The identities in those rows.
  let identities: Set<String>
  /// All files, by their paths in the run directory.
  let files: [String]

  init(directory: String, outcome: ChildProcess.Outcome) throws {
    digest = outcome.weightDigest
    let text = try String(contentsOfFile: directory + "/metrics.jsonl", encoding: .utf8)
    var identities: Set<String> = []
    rows = try text.split(separator: "\n").map { line in
      var row = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] ?? [:]
      row["tokens_per_second"] = nil
      if let identity = row.removeValue(forKey: "run") as? String { identities.insert(identity) }
      return String(decoding: try JSONSerialization.data(withJSONObject: row, options: .sortedKeys), as: UTF8.self)
    }
    self.identities = identities
    files = (FileManager.default.enumerator(atPath: directory)?.allObjects as? [String] ?? []).sorted()
  }

  /// What is wrong with this run; empty if it ended as `whole` did.
  func flaws(comparedWith whole: FinishedRun, mayLeave: [String] = []) -> [String] {
    var flaws: [String] = []
    if digest == nil || digest != whole.digest {
      flaws.append("the weights' digest is \(digest ?? "missing"), not \(whole.digest ?? "any")")
    }
    if rows != whole.rows {
      let first = zip(rows, whole.rows).first { $0 != $1 }
      flaws.append(
        "metrics.jsonl has \(rows.count) rows for \(whole.rows.count)"
          + (first.map { "; the first that differs is \($0.0), not \($0.1)" } ?? ""))
    }
    if identities.count != 1 { flaws.append("metrics.jsonl has rows of \(identities.count) runs") }
    let strange = files.filter { file in
      !mayLeave.contains(file) && !Self.expected.contains { file.wholeMatch(of: $0) != nil }
    }
    if !strange.isEmpty { flaws.append("left behind: \(strange.joined(separator: ", "))") }
    let checkpoints = files.count { $0.hasSuffix(".h5") && $0.hasPrefix("checkpoints/") }
    // Two that were written last, and the best.
    if !(1...3).contains(checkpoints) { flaws.append("\(checkpoints) checkpoints are left") }
    return flaws
  }

  private static var expected: [Regex<Substring>] {
    [
      /config\.yaml/, /metrics\.jsonl/, /latest/, /best/, /checkpoints/, /checkpoints\/step-\d{10}\.h5/,
      // Metrics of a start that wrote no checkpoint are kept aside, and what a resume from an earlier step abandons.
      /metrics[-.].*\.jsonl/, /abandoned/, /abandoned\/.*/,
    ]
  }
}
