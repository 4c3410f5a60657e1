import Files
import Logging

/// Writes log messages to standard error as plain lines, without time stamps, and with a level only from warning
/// upwards:
/// they are a run's output, read by people and stored by batch systems.
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
