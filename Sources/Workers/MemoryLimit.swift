import Failures
import Foundation

/// The memory of this process, in bytes.
package struct ProcessMemory: Sendable, Equatable {
  /// In memory now.
  package var resident = 0
  /// The most that has been resident.
  package var peak = 0
  /// Mapped, whether in memory or not: what `ulimit -v` bounds.
  package var addressSpace = 0
  /// Private and writable: what `ulimit -d` bounds.
  package var data = 0

  /// Of this process. Where there is no /proc only the peak is known, and taken for the rest.
  package static var current: ProcessMemory {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else {
      var usage = rusage()
      guard getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return ProcessMemory() }
      let peak = usage.ru_maxrss * 1024
      return ProcessMemory(resident: peak, peak: peak, addressSpace: peak, data: peak)
    }
    func field(_ name: String) -> Int { kibibytes(name, in: status) ?? 0 }
    return ProcessMemory(
      resident: field("VmRSS"), peak: field("VmHWM"), addressSpace: field("VmSize"), data: field("VmData"))
  }
}

/// A bound on memory, and who sets it.
package struct MemoryLimit: Sendable, Equatable {
  package var bytes: Int
  /// Such as "the memory limit of control group /job_17".
  package var source: String

  package init(bytes: Int, source: String) {
    (self.bytes, self.source) = (bytes, source)
  }

  /// What this process may still allocate under `ulimit -v` and `ulimit -d`.
  package static func leftToProcess(_ memory: ProcessMemory = .current) -> [MemoryLimit] {
    [(RLIMIT_AS, memory.addressSpace, "ulimit -v"), (RLIMIT_DATA, memory.data, "ulimit -d")].compactMap {
      resource, used, name in
      var limit = rlimit()
      guard getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0, limit.rlim_cur < rlim_t(Int.max) else {
        return nil
      }
      return MemoryLimit(bytes: max(0, Int(limit.rlim_cur) - used), source: "what \(name) leaves")
    }
  }

  /// What processes on this host may have between them: limits of this process's control groups and of those above
  /// them, in versions 1 and 2, and what the machine has available.
  ///
  /// - Parameters:
  ///   - resident: what those processes have already.
  ///   - root: where /proc and /sys are; for tests.
  package static func ofHost(resident: Int, root: String = "") -> [MemoryLimit] {
    var limits = controlGroups(root: root)
    if let text = try? String(contentsOfFile: "\(root)/proc/meminfo", encoding: .utf8) {
      if let available = kibibytes("MemAvailable", in: text) {
        limits.append(MemoryLimit(bytes: available + resident, source: "what the machine has available"))
      } else if let total = kibibytes("MemTotal", in: text) {
        limits.append(MemoryLimit(bytes: total, source: "the machine's memory"))
      }
    } else if root.isEmpty {
      let pages = sysconf(Int32(_SC_PHYS_PAGES))
      if pages > 0 {
        limits.append(MemoryLimit(bytes: pages * sysconf(Int32(_SC_PAGESIZE)), source: "the machine's memory"))
      }
    }
    return limits
  }

  // MARK: Control groups

  private static func controlGroups(root: String) -> [MemoryLimit] {
    guard let groups = try? String(contentsOfFile: "\(root)/proc/self/cgroup", encoding: .utf8),
      let mounts = try? String(contentsOfFile: "\(root)/proc/self/mountinfo", encoding: .utf8)
    else { return [] }
    return groups.split(separator: "\n").flatMap { line -> [MemoryLimit] in
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { return [] }
      let (controllers, path) = (fields[1], String(fields[2]))
      let isVersion2 = fields[0] == "0" && controllers.isEmpty
      guard isVersion2 || controllers.split(separator: ",").contains("memory"),
        let mount = mount(ofVersion2: isVersion2, mounts)
      else { return [] }
      let file = isVersion2 ? "memory.max" : "memory.limit_in_bytes"
      return limits(of: path, mount, file, root: root)
    }
  }

  /// The limits of a group and of all above it, as far as they are mounted.
  private static func limits(of path: String, _ mount: Mount, _ file: String, root: String) -> [MemoryLimit] {
    // A container may see its own group as the mount's root.
    let isBelow = mount.root == "/" || path == mount.root || path.hasPrefix(mount.root + "/")
    var group = isBelow ? String(path.dropFirst(mount.root == "/" ? 0 : mount.root.count)) : ""
    while group.hasSuffix("/") { group.removeLast() }
    var found: [MemoryLimit] = []
    while true {
      // Version 1 writes a number near 2⁶³ where there is no limit, version 2 "max".
      if let text = try? String(contentsOfFile: "\(root)\(mount.point)\(group)/\(file)", encoding: .utf8),
        let bytes = Int(text.trimmingCharacters(in: .whitespacesAndNewlines)), bytes < 1 << 60
      {
        found.append(
          MemoryLimit(bytes: bytes, source: "the memory limit of control group \(group.isEmpty ? "/" : group)"))
      }
      guard let slash = group.lastIndex(of: "/") else { return found }
      group = String(group[..<slash])
    }
  }

  private struct Mount {
    let root: String
    let point: String
  }

  private static func mount(ofVersion2 isVersion2: Bool, _ mounts: String) -> Mount? {
    for line in mounts.split(separator: "\n") {
      // "36 35 98:0 ROOT POINT OPTIONS … - TYPE SOURCE OPTIONS"
      let fields = line.split(separator: " ").map { $0.replacing("\\040", with: " ") }
      guard let dash = fields.firstIndex(of: "-"), fields.count > dash + 3, dash > 5 else { continue }
      let options = fields[dash + 3].split(separator: ",")
      guard isVersion2 ? fields[dash + 1] == "cgroup2" : fields[dash + 1] == "cgroup" && options.contains("memory")
      else {
        continue
      }
      return Mount(root: String(fields[3]), point: String(fields[4]))
    }
    return nil
  }
}

/// A line such as "MemAvailable:   23594 kB", in bytes.
private func kibibytes(_ name: String, in text: String) -> Int? {
  for line in text.split(separator: "\n") where line.hasPrefix("\(name):") {
    return line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) }.map {
      $0 * 1024
    }
  }
  return nil
}
