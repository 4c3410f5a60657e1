import Foundation

/// Names one process for good: identifiers are used again, in time and by other machines and containers.
package struct ProcessIdentity: Equatable, Sendable {
  /// The machine's name, for people. Containers of one machine have different ones.
  package var host: String
  /// The kernel's own identifier of this boot, the same in all its containers; empty where it can't be known.
  package var boot: String
  /// The namespace that `process` counts in; empty where it can't be known.
  package var namespace: String
  package var process: pid_t
  /// When the process began, in clock ticks since the boot; empty where it can't be known.
  package var started: String

  package init(host: String, boot: String, namespace: String, process: pid_t, started: String) {
    (self.host, self.boot, self.namespace, self.process) = (host, boot, namespace, process)
    self.started = started
  }
}

extension ProcessIdentity {
  /// This process.
  package static let current = ProcessIdentity(
    host: hostName, boot: firstLine(of: "/proc/sys/kernel/random/boot_id") ?? "",
    namespace: (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/pid")) ?? "",
    process: getpid(), started: startTime(of: "self") ?? "")

  /// Whether both are known to be processes of one kernel.
  package func sharesMachine(with other: ProcessIdentity) -> Bool {
    boot.isEmpty || other.boot.isEmpty ? boot == other.boot && host == other.host : boot == other.boot
  }

  /// Whether the process is there; nil where this one can't see it: on another machine, or in another namespace.
  package var isRunning: Bool? {
    let own = Self.current
    guard sharesMachine(with: own), namespace == own.namespace else { return nil }
    guard kill(process, 0) == 0 || errno == EPERM else { return false }
    guard !started.isEmpty, let now = Self.startTime(of: "\(process)") else { return true }
    return now == started
  }

  /// The machine's name with only what may stand in a file name.
  package static let hostName: String = {
    var bytes = [CChar](repeating: 0, count: 256)
    guard gethostname(&bytes, bytes.count - 1) == 0 else { return "unknown" }
    let name = String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let safe = name.prefix(64).map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == ".") ? $0 : "_" }
    return safe.isEmpty ? "unknown" : String(safe)
  }()

  /// A zombie counts as gone: it only waits for its parent to collect its status.
  private static func startTime(of process: String) -> String? {
    // "PID (NAME) STATE PARENT …"; the name may hold spaces and parentheses.
    guard let line = firstLine(of: "/proc/\(process)/stat"), let end = line.lastIndex(of: ")") else { return nil }
    let fields = line[line.index(after: end)...].split(separator: " ")
    guard fields.count > 19 else { return nil }
    return fields[0] == "Z" || fields[0] == "X" ? "ended" : String(fields[19])
  }

  private static func firstLine(of path: String) -> String? {
    guard let file = try? PosixFile(path), let bytes = try? file.read(4096, at: 0) else { return nil }
    return String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
  }
}
