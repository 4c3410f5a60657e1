import Files
import Logging

/// Sends log messages to standard error as plain lines: they are a run's output, read by people and kept by batch
/// systems, so they carry no time stamps or levels but for warnings.
struct StandardErrorLog: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level = .info

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let prefix = event.level >= .warning ? "\(event.level): " : ""
    StandardError.print("\(prefix)\(event.message)")
  }

  static let logger = Logger(label: "lockstep") { _ in StandardErrorLog() }
}
