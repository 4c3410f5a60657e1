import Foundation
import TestSupport
import Testing
import Workers

/// Limits on memory, read from files as the system has them.
@Suite struct MemoryLimitTests {
  /// A directory with files in the places of /proc and /sys.
  private final class System {
    private let directory: TemporaryDirectory
    var root: String { directory.path }

    init(_ files: [String: String]) throws {
      directory = try TemporaryDirectory()
      for (name, text) in files {
        let path = root + name
        try FileManager.default.createDirectory(
          atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try text.write(toFile: path, atomically: true, encoding: .utf8)
      }
    }
  }

  private static let version2 = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
  private static let version1 = "33 25 0:28 / /sys/fs/cgroup/memory rw shared:14 - cgroup cgroup rw,memory\n"

  @Test func theLeastLimitOfAGroupAndThoseAboveItCounts() throws {
    let system = try System([
      "/proc/self/cgroup": "0::/user/job_17/step_0\n", "/proc/self/mountinfo": Self.version2,
      "/sys/fs/cgroup/user/job_17/step_0/memory.max": "max\n", "/sys/fs/cgroup/user/job_17/memory.max": "4294967296\n",
      "/sys/fs/cgroup/user/memory.max": "8589934592\n",
      "/proc/meminfo": "MemTotal:       24682496 kB\nMemFree:  100 kB\nMemAvailable:   20000000 kB\n",
    ])
    let limits = MemoryLimit.ofHost(resident: 1024, root: system.root)
    #expect(
      limits.min { $0.bytes < $1.bytes }
        == MemoryLimit(bytes: 4 << 30, source: "the memory limit of control group /user/job_17"))
    #expect(limits.contains { $0.bytes == 8 << 30 })
    #expect(limits.contains { $0.bytes == 20_000_000 * 1024 + 1024 })
  }

  @Test func version1AndAContainerThatSeesItsOwnGroupAsTheRoot() throws {
    let system = try System([
      "/proc/self/cgroup": "5:cpu,cpuacct:/docker/ab\n4:memory:/docker/ab\n",
      "/proc/self/mountinfo":
        "33 25 0:28 /docker/ab /sys/fs/cgroup/memory ro shared:14 master:2 - cgroup cgroup rw,memory\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n",
    ])
    #expect(
      MemoryLimit.ofHost(resident: 0, root: system.root)
        == [MemoryLimit(bytes: 512 << 20, source: "the memory limit of control group /")])
  }

  @Test func noLimitIsNone() throws {
    let system = try System([
      "/proc/self/cgroup": "4:memory:/a\n0::/\n", "/proc/self/mountinfo": Self.version1 + Self.version2,
      "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "9223372036854771712\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    ])
    #expect(MemoryLimit.ofHost(resident: 0, root: system.root).isEmpty)
    #expect(MemoryLimit.ofHost(resident: 0, root: "/nowhere").isEmpty)
  }

  @Test func whatThisProcessHasIsKnown() {
    let memory = ProcessMemory.current
    #expect(memory.resident > 1 << 20 && memory.peak >= memory.resident)
    #expect(memory.addressSpace > memory.resident && memory.data > 0)
  }
}
