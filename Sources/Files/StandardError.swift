import Foundation
import Synchronization

/// The one writer of standard error: messages, logs and progress. Losing them ends nothing, so nothing here throws.
package enum StandardError {
  /// Writes a line, or several, in one call: lines of several processes don't mix.
  ///
  /// A progress line that is on the screen gives way.
  package static func print(_ text: String) { write((takeProgress() ? clearedLine : "") + "\(text)\n") }

  package static func write(_ text: String) {
    _ = Array(text.utf8).withUnsafeBytes { writer.write($0) }
  }

  /// Whether it is a terminal on which a line can be written over itself. `TERM=dumb` is one that can't.
  package static let isTerminal =
    isatty(STDERR_FILENO) == 1 && !["", "dumb"].contains(ProcessInfo.processInfo.environment["TERM"] ?? "")

  /// Columns of the terminal now; nil if it does not tell.
  package static var columns: Int? {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return Int(size.ws_col)
  }

  /// Writes over the line that the cursor is on.
  static func showProgress(_ text: String) {
    hasProgress.store(true, ordering: .relaxed)
    write(clearedLine + text)
  }

  static func clearProgress() {
    if takeProgress() { write(clearedLine) }
  }

  private static func takeProgress() -> Bool { hasProgress.exchange(false, ordering: .relaxed) }

  private static let clearedLine = "\r\u{1B}[K"
  private static let hasProgress = Atomic(false)
  private static let writer = DescriptorWriter(STDERR_FILENO)
}
