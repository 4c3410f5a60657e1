/// How far `prepare` is.
package struct PrepareProgress: Sendable, Equatable {
  package enum Stage: String, Sendable {
    case reading, measuring, counting, encoding
  }

  package var stage: Stage
  package var bytesDone: Int
  /// In this stage; 0 where that is not known.
  package var bytesTotal: Int
  /// Since the stage began.
  package var elapsed: Duration

  package init(stage: Stage, bytesDone: Int, bytesTotal: Int, elapsed: Duration) {
    (self.stage, self.bytesDone, self.bytesTotal, self.elapsed) = (stage, bytesDone, bytesTotal, elapsed)
  }

  /// For example `encoding   412 MB of 1024 MB   40 %   96 MB/s`.
  package var line: String {
    let seconds = elapsed / .seconds(1)
    let rate = seconds > 0 ? Double(bytesDone) / seconds / 1e6 : 0
    guard bytesTotal > 0 else { return "\(stage.rawValue)   \(bytesDone / 1_000_000) MB   \(Int(rate)) MB/s" }
    let percent = min(100, bytesDone * 100 / bytesTotal)
    return "\(stage.rawValue)   \(bytesDone / 1_000_000) MB of \(bytesTotal / 1_000_000) MB   \(percent) %"
      + "   \(Int(rate)) MB/s"
  }
}
