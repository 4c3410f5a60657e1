import Foundation

/// A line on a terminal that is written over itself; nothing where standard error is not a terminal.
package final class ProgressLine {
  private let isShown: Bool
  private let clock = ContinuousClock()
  private var lastUpdate: ContinuousClock.Instant?
  private static let interval = Duration.milliseconds(100)

  package init(isShown: Bool = isatty(STDERR_FILENO) == 1) { self.isShown = isShown }

  /// Shows `text`, which is only made where it is due: ten times a second at most.
  package func update(_ text: @autoclosure () -> String) {
    guard isShown else { return }
    let now = clock.now
    if let lastUpdate, now - lastUpdate < Self.interval { return }
    lastUpdate = now
    write("\r\u{1B}[K" + text())
  }

  /// Removes the line.
  package func clear() {
    guard isShown, lastUpdate != nil else { return }
    lastUpdate = nil
    write("\r\u{1B}[K")
  }

  private func write(_ text: String) {
    FileHandle.standardError.write(Data(text.utf8))
  }
}
