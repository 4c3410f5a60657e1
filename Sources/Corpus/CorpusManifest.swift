import Failures
import HDF5

/// What `manifest.h5` says: the vocabulary, and which shard files hold the tokens of which split.
///
/// Root attributes `format`, `format_version`, `creator`, `created`, `tokenizer`; `/vocabulary`, one text an id;
/// `/splits/NAME` with the attributes `tokens` and `unknown_tokens` and one dataset a column of its shard table: `file`,
/// `tokens`, `bytes`, `sha256`.
package struct CorpusManifest: Sendable, Equatable {
  package static let fileName = "manifest.h5"
  package static let format = "lockstep corpus"
  package static let shardFormat = "lockstep corpus shard"
  package static let formatVersion = 1

  package struct Shard: Sendable, Equatable, Codable {
    /// The name of the file in the corpus directory.
    package let file: String
    package let tokens: Int
    /// The size of the file.
    package let bytes: Int
    /// The digest of the whole file, in lower-case hexadecimal.
    package let sha256: String
  }

  package struct SplitTable: Sendable, Equatable {
    package let shards: [Shard]
    /// How many tokens are `<unk>`.
    package let unknownTokens: Int
    package var tokens: Int { shards.reduce(0) { $0 + $1.tokens } }
  }

  package let creator: String
  /// ISO 8601, UTC.
  package let created: String
  package let vocabulary: Vocabulary
  package let splits: [Split: SplitTable]

  package func shards(of split: Split) -> [Shard] { splits[split]?.shards ?? [] }

  static func shardName(_ split: Split, _ index: Int) -> String {
    let digits = String(index)
    return "\(split)-\(String(repeating: "0", count: max(0, 5 - digits.count)))\(digits).h5"
  }
}

extension CorpusManifest {
  func write(to path: String) throws {
    let file = try H5File.create(path)
    try file.setAttribute("format", Self.format)
    try file.setAttribute("format_version", Self.formatVersion)
    try file.setAttribute("creator", creator)
    try file.setAttribute("created", created)
    try file.setAttribute("tokenizer", vocabulary.tokenizer.rawValue)
    try file.createDataset("vocabulary", vocabulary.tokens)
    let group = try file.createGroup("splits")
    for split in Split.allCases {
      guard let table = splits[split] else { continue }
      let columns = try group.createGroup(split.rawValue)
      try columns.setAttribute("tokens", table.tokens)
      try columns.setAttribute("unknown_tokens", table.unknownTokens)
      try columns.createDataset("file", table.shards.map(\.file))
      try columns.createDataset("tokens", table.shards.map { UInt64($0.tokens) })
      try columns.createDataset("bytes", table.shards.map { UInt64($0.bytes) })
      try columns.createDataset("sha256", table.shards.map(\.sha256))
    }
    try file.close()
  }

  /// - Throws: ``Failure`` or `H5Error` (bad data) where the file is missing, foreign, of another version, or damaged.
  init(readingFrom path: String) throws {
    let file = try H5File.open(path)
    try Self.checkFormat(of: file, at: path, Self.format)
    creator = try file.attribute("creator")
    created = try file.attribute("created")
    let name: String = try file.attribute("tokenizer")
    guard let tokenizer = Tokenizer(rawValue: name) else {
      throw Failure(.badData, "unknown tokenizer '\(name)'", at: path)
    }
    let tokens = try file.openDataset("vocabulary").readTexts()
    do {
      vocabulary = try Vocabulary(tokenizer: tokenizer, tokens: tokens)
    } catch let failure as Failure {
      throw Failure(.badData, failure.what, at: "\(path):/vocabulary")
    }
    var splits: [Split: SplitTable] = [:]
    for split in Split.allCases where try file.contains("splits/\(split)") {
      splits[split] = try Self.readTable(file.openGroup("splits/\(split)"), at: "\(path):/splits/\(split)")
    }
    self.splits = splits
    try file.close()
  }

  /// Tells a file of another program, kind or version from one that can be read.
  static func checkFormat(of file: H5File, at path: String, _ expected: String) throws {
    guard try file.hasAttribute("format"), try file.hasAttribute("format_version") else {
      throw Failure(.badData, "is not a \(expected): it has no format attribute", at: path)
    }
    let format: String = try file.attribute("format")
    guard format == expected else { throw Failure(.badData, "is a '\(format)', not a '\(expected)'", at: path) }
    let version = try file.attribute("format_version", as: Int.self)
    guard version == formatVersion else {
      throw Failure(
        .badData, "has format version \(version), this program reads version \(formatVersion)", at: path,
        remedy: "run 'lockstep prepare' again")
    }
  }

  private static func readTable(_ group: H5Group, at place: String) throws -> SplitTable {
    let files = try group.openDataset("file").readTexts()
    let tokens = try group.openDataset("tokens").read(as: Int.self)
    let bytes = try group.openDataset("bytes").read(as: Int.self)
    let digests = try group.openDataset("sha256").readTexts()
    guard !files.isEmpty, [tokens.count, bytes.count, digests.count].allSatisfy({ $0 == files.count }) else {
      throw Failure(.badData, "the columns of the shard table differ in length", at: place)
    }
    // A name with a slash would reach outside the corpus; a count is a length that memory is asked for.
    guard files.allSatisfy({ !$0.contains("/") && !$0.isEmpty }), tokens.allSatisfy({ $0 > 0 && $0 < 1 << 48 }) else {
      throw Failure(.badData, "the shard table holds an impossible file name or token count", at: place)
    }
    let shards = files.indices.map {
      Shard(file: files[$0], tokens: tokens[$0], bytes: bytes[$0], sha256: digests[$0])
    }
    return SplitTable(shards: shards, unknownTokens: try group.attribute("unknown_tokens", as: Int.self))
  }
}
