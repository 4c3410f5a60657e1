import Corpus
import Failures
import Training

/// What `inspect` says of a corpus.
struct CorpusReport: InspectionReport {
  let summary: CorpusSummary
  let directory: String

  func encode(to encoder: any Encoder) throws { try summary.encode(to: encoder) }

  var damage: Failure? {
    let damaged = summary.splits.flatMap(\.shards).filter { !$0.digestOK }
    guard let first = damaged.first else { return nil }
    let others = damaged.count > 1 ? ", nor are those of \(damaged.count - 1) more shards" : ""
    return Failure(
      .badData, "damaged: the SHA-256 is not that of the manifest\(others)", at: "\(directory)/\(first.file)",
      remedy: "restore the file, or run 'lockstep prepare' again")
  }

  var text: String {
    let shards = summary.splits.flatMap(\.shards)
    let overview = sheet(
      "\(directory): corpus, \(summary.digestOK ? "intact" : "DAMAGED")",
      [
        ("format", "version \(summary.formatVersion), written by \(summary.creator), \(summary.created)"),
        ("size", "\(readable(bytes: shards.reduce(0) { $0 + $1.bytes })) in \(grouped(shards.count)) shards"),
        ("vocabulary", "\(grouped(summary.vocabularySize)) tokens, \(summary.tokenizer.rawValue)"),
      ])
    var splits = TextTable(["split", "tokens", "unknown", "shards", "bytes"])
    for split in summary.splits {
      splits.append([
        split.name, grouped(split.tokens), grouped(split.unknownTokens), grouped(split.shards.count),
        grouped(split.shards.reduce(0) { $0 + $1.bytes }),
      ])
    }
    var files = TextTable(["file", "tokens", "bytes", "digest"])
    for shard in shards {
      files.append([shard.file, grouped(shard.tokens), grouped(shard.bytes), shard.digestOK ? "right" : "WRONG"])
    }
    return (overview + [""] + splits.lines + [""] + files.lines).joined(separator: "\n")
  }
}

/// What `inspect` says of one shard file.
struct ShardReport: InspectionReport {
  let summary: ShardSummary
  let path: String

  func encode(to encoder: any Encoder) throws { try summary.encode(to: encoder) }

  var damage: Failure? {
    guard summary.digestOK == false else { return nil }
    return Failure(
      .badData, "damaged: the SHA-256 is not that of the manifest", at: path,
      remedy: "restore the file, or run 'lockstep prepare' again")
  }

  var text: String {
    let verdict =
      switch summary.digestOK {
      case true?: "intact"
      case false?: "DAMAGED"
      case nil: "not in a manifest beside it"
      }
    let (first, count) = (summary.firstToken, summary.tokens)
    return sheet(
      "\(path): corpus shard, \(verdict)",
      [
        ("format", "version \(summary.formatVersion)"),
        ("size", "\(readable(bytes: summary.bytes)), SHA-256 \(summary.sha256)"),
        ("split", "\(summary.split), shard \(summary.shard)"),
        (
          "tokens",
          "\(grouped(count)) \(summary.elementType) (\(grouped(first)) to \(grouped(first + count - 1)) of the split)"
        ),
        ("vocabulary", "\(grouped(summary.vocabularySize)) tokens, \(summary.tokenizer)"),
      ]
    ).joined(separator: "\n")
  }
}
