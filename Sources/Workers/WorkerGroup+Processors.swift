import CLinux
import Foundation

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
