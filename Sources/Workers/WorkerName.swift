import Glibc

/// A worker as messages name it: `worker 1` among threads, `rank 1 on node2` under `mpirun`.
package struct WorkerName: Sendable, Equatable, Codable, CustomStringConvertible {
  package let rank: Int
  /// The machine that a rank runs on; nil for a thread of this process.
  package let host: String?

  package init(rank: Int, host: String?) {
    (self.rank, self.host) = (rank, host)
  }

  package var description: String { host.map { "rank \(rank) on \($0)" } ?? "worker \(rank)" }

  /// The name of this machine.
  package static let thisHost: String = {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "unknown host" }
    return name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }()

  /// Several workers, by host: `ranks 1 to 3 and 7 on node2, rank 8 on node3`.
  package static func list(_ names: [WorkerName]) -> String {
    var hosts: [(host: String?, ranks: [Int])] = []
    for name in names {
      if let index = hosts.firstIndex(where: { $0.host == name.host }) {
        hosts[index].ranks.append(name.rank)
      } else {
        hosts.append((name.host, [name.rank]))
      }
    }
    let parts = hosts.prefix(mostParts).map { host, ranks in
      let noun = host == nil ? "worker" : "rank"
      return "\(noun)\(ranks.count == 1 ? "" : "s") \(list(ranks.sorted()))" + (host.map { " on \($0)" } ?? "")
    }
    let rest = hosts.count - parts.count
    return parts.joined(separator: ", ") + (rest > 0 ? " and those of \(rest) more host\(rest == 1 ? "" : "s")" : "")
  }

  /// A job may have thousands of ranks; a message is for reading.
  private static let mostParts = 8

  private static func list(_ ranks: [Int]) -> String {
    var runs: [ClosedRange<Int>] = []
    for rank in ranks {
      if let last = runs.last, last.upperBound + 1 == rank {
        runs[runs.count - 1] = last.lowerBound...rank
      } else {
        runs.append(rank...rank)
      }
    }
    var parts = runs.prefix(mostParts).flatMap { run in
      run.count > 2 ? ["\(run.lowerBound) to \(run.upperBound)"] : run.map(String.init)
    }
    if runs.count > mostParts { parts.append("\(runs.dropFirst(mostParts).reduce(0) { $0 + $1.count }) more") }
    guard parts.count > 1 else { return parts.first ?? "" }
    return parts.dropLast().joined(separator: ", ") + " and " + parts[parts.count - 1]
  }
}
