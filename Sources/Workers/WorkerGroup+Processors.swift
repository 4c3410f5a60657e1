import CLinux
import Foundation

/// Workers of one host that share fewer processors than there are workers.
package struct CrowdedHost: Sendable, Equatable {
  package let host: String
  package let workers: Int
  /// Logical processors that the system lets these workers run on, all together.
  package let processors: Int
}

extension WorkerGroup {
  /// Logical processors that the workers, all on one machine, may run on between them: fewer than the machine has where
  /// mpirun, Slurm, taskset or a container has bound them. Collective; the same on all. Throws what
  /// ``allGather(_:segments:)`` throws.
  package func processorCount() throws -> Int {
    let size = MemoryLayout<cpu_set_t>.size
    let words = size / MemoryLayout<UInt64>.stride
    var masks = [UInt64](repeating: 0, count: words * count)
    let segments = (0..<count).map { ($0 * size)..<(($0 + 1) * size) }
    var allowed = cpu_set_t()
    // Fails where the machine has more processors than the set has bits.
    if sched_getaffinity(0, size, &allowed) == 0 {
      withUnsafeBytes(of: allowed) { own in
        masks.withUnsafeMutableBytes { $0[segments[rank]].copyBytes(from: own) }
      }
    }
    try masks.withUnsafeMutableBytes { try allGather($0, segments: segments) }
    var together = 0
    for word in 0..<words {
      together += (0..<count).reduce(UInt64(0)) { $0 | masks[$1 * words + word] }.nonzeroBitCount
    }
    return together > 0 ? together : ProcessInfo.processInfo.processorCount
  }
}

extension WorkerGroup {
  /// The hosts on which workers must share processors, as where two ranks are bound to one core; collective, the same on
  /// all. Throws what the group's collectives throw.
  package func crowdedHosts() throws -> [CrowdedHost] {
    let size = MemoryLayout<cpu_set_t>.size
    var allowed = cpu_set_t()
    var mask: [UInt64] = []
    if sched_getaffinity(0, size, &allowed) == 0 {
      mask = withUnsafeBytes(of: allowed) { Array($0.bindMemory(to: UInt64.self)) }
    }
    let places = try gather(Place(host: name.host ?? "this machine", processors: mask))
    var hosts: [String] = []
    for place in places where !hosts.contains(place.host) { hosts.append(place.host) }
    return hosts.compactMap { host in
      let masks = places.filter { $0.host == host }.map(\.processors)
      let words = masks.map(\.count).max() ?? 0
      let together = (0..<words).reduce(0) { sum, word in
        sum + masks.reduce(UInt64(0)) { $0 | (word < $1.count ? $1[word] : 0) }.nonzeroBitCount
      }
      guard together > 0, together < masks.count else { return nil }
      return CrowdedHost(host: host, workers: masks.count, processors: together)
    }
  }
}

/// Where a worker may run.
private struct Place: Codable {
  let host: String
  let processors: [UInt64]
}
