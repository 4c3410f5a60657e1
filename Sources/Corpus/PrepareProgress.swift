/// How far `prepare` is.
package struct PrepareProgress: Sendable, Equatable {
  package enum Stage: String, Sendable {
    case measuring, counting, encoding
  }

  package var stage: Stage
  package var bytesDone: Int
  /// In this stage.
  package var bytesTotal: Int
  /// Since the stage began.
  package var elapsed: Duration

  package init(stage: Stage, bytesDone: Int, bytesTotal: Int, elapsed: Duration) {
    self.stage = stage
    self.bytesDone = bytesDone
    self.bytesTotal = bytesTotal
    self.elapsed = elapsed
  }

  /// For example `encoding   412 MB of 1024 MB   40 %   96 MB/s`.
  package var line: String {
    let seconds = elapsed / .seconds(1)
    let rate = seconds > 0 ? Double(bytesDone) / seconds / 1e6 : 0
    let percent = bytesTotal > 0 ? min(100, bytesDone * 100 / bytesTotal) : 100
    return "\(stage.rawValue)   \(bytesDone / 1_000_000) MB of \(bytesTotal / 1_000_000) MB   \(percent) %"
      + "   \(Int(rate)) MB/s"
  }
}

/// What `prepare` has made.
package struct PrepareReport: Sendable {
  package let manifest: CorpusManifest
  package let output: String
  package let elapsed: Duration

  /// The summary for a person, several lines.
  package var text: String {
    var lines: [String] = []
    let tokenizer = manifest.vocabulary.tokenizer
    for split in Split.allCases {
      guard let table = manifest.splits[split] else { continue }
      var line = "\(split)\(split == .test ? " " : "")  \(table.tokens) tokens"
      line += " in \(table.shards.count) \(table.shards.count == 1 ? "shard" : "shards")"
      if manifest.vocabulary.unknown != nil {
        line += ", \(Self.hundredths(10_000 * Double(table.unknownTokens) / Double(table.tokens))) % <unk>"
      }
      lines.append(line)
    }
    lines.append("vocabulary  \(manifest.vocabulary.count) tokens (\(tokenizer))")
    lines.append("\(output) written in \(Self.hundredths(100 * (elapsed / .seconds(1)))) s")
    return lines.joined(separator: "\n")
  }

  private static func hundredths(_ value: Double) -> String {
    let whole = Int(value.rounded())
    let fraction = String(whole % 100)
    return "\(whole / 100).\(fraction.count == 1 ? "0" : "")\(fraction)"
  }
}
