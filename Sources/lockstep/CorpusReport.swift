import Corpus
import Failures
import Training

/// The `inspect` report on a corpus.
struct CorpusReport: InspectionReport {
  let summary: CorpusSummary
  let directory: String

  func encode(to encoder: any Encoder) throws { try summary.encode(to: encoder) }

  var damage: Failure? {
    guard var damage = summary.damage else { return nil }
    let others = summary.splits.flatMap(\.shards).filter { !$0.digestOK }.count - 1
    if others > 0 { damage.what += " (and \(others) more \(others == 1 ? "shard is" : "shards are") damaged)" }
    return damage
  }

  var text: String {
    let shards = summary.splits.flatMap(\.shards)
    let overview = sheet(
      "\(directory): corpus, \(summary.digestOK ? "intact" : "DAMAGED")",
      [
        ("format", "version \(summary.formatVersion), written by \(summary.creator), \(summary.created)"),
        ("size", "\(readable(bytes: shards.reduce(0) { $0 + $1.bytes })) in \(grouped(shards.count)) shards"),
        ("vocabulary", "\(grouped(summary.vocabularySize)) tokens, \(summary.tokenizer.rawValue)"),
        ("task", summary.labels == nil ? nil : summary.task.rawValue),
        ("labels", summary.labels.map { "\($0.count) labels: \($0.joined(separator: " "))" }),
        ("content", summary.contentDigest.map { "SHA-256 \($0)" }),
      ].filter { $0.1 != nil })
    let hasSequences = summary.splits.contains { $0.sequences != nil }
    var splits = TextTable(["split"] + (hasSequences ? ["sentences"] : []) + ["tokens", "unknown", "shards", "bytes"])
    for split in summary.splits {
      splits.append(
        [split.name] + (split.sequences.map { [grouped($0)] } ?? []) + [
          grouped(split.tokens), grouped(split.unknownTokens), grouped(split.shards.count),
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

/// The `inspect` report on a shard file.
struct ShardReport: InspectionReport {
  let summary: ShardSummary
  let path: String

  func encode(to encoder: any Encoder) throws { try summary.encode(to: encoder) }

  var damage: Failure? { nil }

  var text: String {
    let verdict = [summary.digestOK == true ? "intact" : nil, summary.isListed ? nil : "not in a manifest beside it"]
      .compactMap { $0 }.joined(separator: ", ")
    let (first, count) = (summary.firstToken, summary.tokens)
    return sheet(
      "\(path): corpus shard, \(verdict)",
      [
        ("format", "version \(summary.formatVersion)"),
        ("size", "\(readable(bytes: summary.bytes)), SHA-256 \(summary.sha256)"),
        ("split", "\(summary.split), shard \(summary.shard)"),
        (
          "tokens",
          "\(grouped(count)) \(summary.elementType) (\(grouped(first)) to \(grouped(first + max(count, 1) - 1)) of the split)"
        ),
        ("vocabulary", "\(grouped(summary.vocabularySize)) tokens, \(summary.tokenizer)"),
      ]
    ).joined(separator: "\n")
  }
}

/// The `inspect` report on a damaged file of a corpus, which says only that.
struct DamagedCorpusReport: InspectionReport {
  let kind: CorpusFile
  let path: String
  let failure: Failure

  var damage: Failure? { failure }
  var text: String { sheet("\(path): corpus \(kind), DAMAGED", []).joined(separator: "\n") }

  private enum CodingKeys: String, CodingKey {
    case kind, digestOk, damage
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(kind == .manifest ? "corpus" : "shard", forKey: .kind)
    try container.encode(false, forKey: .digestOk)
    try container.encode(failure.description, forKey: .damage)
  }
}
