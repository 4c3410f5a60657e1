import Foundation

/// What a lock file says about its holder, one `key value` a line.
package struct LockRecord: Equatable, Sendable {
  package let holder: ProcessIdentity
  /// Drawn at random for each lock, so that one process's locks are told apart.
  package let token: UInt64

  static let size = 1024

  package init(holder: ProcessIdentity = .current, token: UInt64 = .random(in: 1...UInt64.max)) {
    (self.holder, self.token) = (holder, token)
  }

  package var bytes: [UInt8] {
    let text = """
      lockstep lock
      host \(holder.host)
      boot \(holder.boot)
      namespace \(holder.namespace)
      process \(holder.process)
      started \(holder.started)
      token \(token)

      """
    return Array(text.utf8)
  }

  /// nil where the file is not, or not yet, a whole record.
  package init?(_ bytes: [UInt8]) {
    var values: [Substring: String] = [:]
    let text = String(decoding: bytes, as: UTF8.self)
    guard text.hasPrefix("lockstep lock\n"), text.hasSuffix("\n") else { return nil }
    for line in text.split(separator: "\n").dropFirst() {
      let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
      if parts.count == 2 { values[parts[0]] = String(parts[1]) }
    }
    guard let host = values["host"], let boot = values["boot"], let namespace = values["namespace"],
      let process = values["process"].flatMap({ pid_t($0) }), process > 0, let started = values["started"],
      let token = values["token"].flatMap({ UInt64($0) })
    else { return nil }
    holder = ProcessIdentity(host: host, boot: boot, namespace: namespace, process: process, started: started)
    self.token = token
  }
}
