import Failures
import Foundation
import Parameters
import Workers

/// The memory that the workers of a host need, and the limit on it. It is checked before anything large is allocated,
/// since the system kills a process that uses too much without a message.
///
/// The sum for a host: what its processes already use (program, libraries, corpus tables), what each worker allocates,
/// and the weights, which count once if workers share them.
package struct MemoryBudget: Sendable, Equatable {
  /// Bytes that the workers of one host need: the maximum over all hosts.
  package var needed: Int
  /// The smallest limit; nil if none is known.
  package var limit: MemoryLimit?

  /// Bytes that a process uses besides its buffers: code that runs first in training, HDF5's caches, the journal's
  /// rows.
  static let processBytes = 8 << 20

  /// Adds up the memory of each host and compares it with the limits; collective.
  ///
  /// - Parameters:
  ///   - weights: bytes of the weights, plain and packed.
  ///   - areShared: whether all workers of a host use the same weights.
  ///   - own: other bytes that this worker allocates.
  ///   - given: the user's limit in bytes, which replaces all others.
  ///   - key: the name of the setting for `given`.
  ///   - what: the subject of the error message, such as "training".
  /// - Throws: ``WorkerFailure`` (usage) if the workers of any host exceed their limit.
  package init(
    _ group: any WorkerGroup, weights: Int, areShared: Bool, own: Int, given: Int?, key: String, what: String,
    remedy: String
  ) throws {
    let memory = ProcessMemory.current
    let host = Self.host
    let numbers = try group.gather([host.number, Int64(getpid()), Int64(memory.resident), Int64(own)])
    func bytes(of workers: [[Int64]]) -> Int {
      let processes = Dictionary(workers.map { ($0[1], Int($0[2])) }, uniquingKeysWith: max)
      return processes.values.reduce(0) { $0 + $1 + Self.processBytes } + workers.reduce(0) { $0 + Int($1[3]) }
        + (areShared ? weights : weights * workers.count)
    }
    let here = numbers.filter { $0[0] == host.number }
    let needed = bytes(of: here)
    let resident = Dictionary(here.map { ($0[1], Int($0[2])) }, uniquingKeysWith: max).values.reduce(0, +)
    let inProcess = here.filter { $0[1] == Int64(getpid()) }
    let allocated = inProcess.reduce(0) { $0 + Int($1[3]) } + (areShared ? weights : weights * inProcess.count)

    var limits = MemoryLimit.ofHost(resident: resident)
    if let given { limits = [MemoryLimit(bytes: given, source: key)] }
    let least = limits.min { $0.bytes < $1.bytes }
    try group.agreeing {
      if let least, needed > least.bytes {
        throw Failure(
          .usage,
          "\(what) needs \(readable(bytes: needed)) on host \(host.name), and may have \(readable(bytes: least.bytes))",
          cause: least.source, remedy: "\(remedy), or give another limit with \(key)")
      }
      guard given == nil else { return }
      for left in MemoryLimit.leftToProcess(memory) where allocated > left.bytes {
        throw Failure(
          .usage,
          "\(what) allocates \(readable(bytes: allocated)) in a process, and may have \(readable(bytes: left.bytes))",
          cause: left.source, remedy: "\(remedy), raise the limit, or give another with \(key)")
      }
    }
    let hosts = Set(numbers.map { $0[0] }).map { host in bytes(of: numbers.filter { $0[0] == host }) }
    self.needed = hosts.max() ?? needed
    self.limit = least
  }

  /// For the log, such as "memory: 352.1 MiB, of 22.9 GiB (what the machine has available)".
  package var text: String {
    let most = limit.map { ", of \(readable(bytes: $0.bytes)) (\($0.source))" } ?? ""
    return "memory: \(readable(bytes: needed))\(most)"
  }

  /// This machine's name, and a number that identifies the machine.
  private static var host: (name: String, number: Int64) {
    let host = WorkerName.thisHost
    let boot = (try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)) ?? ""
    let number = (host + boot).utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    return (host, Int64(bitPattern: number))
  }
}

extension WorkerGroup {
  /// Gathers the numbers of all workers, equally many from each; collective.
  func gather(_ own: [Int64]) throws -> [[Int64]] {
    let width = own.count * MemoryLayout<Int64>.stride
    var all = [Int64](repeating: 0, count: own.count * count)
    all.replaceSubrange((rank * own.count)..<((rank + 1) * own.count), with: own)
    try all.withUnsafeMutableBytes { bytes in
      try allGather(bytes, segments: (0..<count).map { ($0 * width)..<(($0 + 1) * width) })
    }
    return (0..<count).map { Array(all[($0 * own.count)..<(($0 + 1) * own.count)]) }
  }
}
