/// A line on a terminal that is written over itself; nothing where standard error is no terminal.
package final class ProgressLine {
  private let isShown: Bool
  private let clock = ContinuousClock()
  private var lastUpdate: ContinuousClock.Instant?
  private static let interval = Duration.milliseconds(100)

  package init(isShown: Bool = StandardError.isTerminal) { self.isShown = isShown }

  /// Shows `text`, which is only made where it is due: ten times a second at most.
  package func update(_ text: @autoclosure () -> String) {
    guard isShown else { return }
    let now = clock.now
    if let lastUpdate, now - lastUpdate < Self.interval { return }
    lastUpdate = now
    StandardError.showProgress(Self.fitting(text(), columns: StandardError.columns))
  }

  /// Removes the line.
  package func clear() {
    guard isShown, lastUpdate != nil else { return }
    lastUpdate = nil
    StandardError.clearProgress()
  }

  /// As much of `text` as one line holds: a line that wraps can't be written over, and scrolls.
  ///
  /// The last column stays free, because some terminals wrap as soon as it is filled.
  static func fitting(_ text: String, columns: Int?) -> String {
    guard let columns, text.count >= columns else { return text }
    return text.prefix(max(0, columns - 2)) + "…"
  }
}
