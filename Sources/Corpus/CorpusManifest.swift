import Failures
import Files
import HDF5
import Interfaces

/// What `manifest.h5` says: the vocabulary, and which shard files hold the tokens of which split.
///
/// A sealed HDF5 file (``Seal``): root attributes `format`, `format_version`, `creator`, `created`, `tokenizer`,
/// `content_digest` (``ContentDigest``); `/vocabulary`, one text per id; `/train_counts`, how often each id occurs in the
/// train split; `/splits/NAME` with the attributes `tokens` and `unknown_tokens` and one dataset per column of its shard
/// table: `file`, `tokens`, `bytes`, `sha256`. Version 1 had no seal, no content digest and no counts.
package struct CorpusManifest: Sendable, Equatable {
  package static let fileName = "manifest.h5"
  static let format = "lockstep corpus"
  static let shardFormat = "lockstep corpus shard"

  package struct Shard: Sendable, Equatable, Codable {
    /// The name of the file in the corpus directory.
    package let file: String
    package let tokens: Int
    /// Sequences of a labelled corpus; nil in a text corpus, which is one.
    package var sequences: Int?
    /// The size of the file.
    package let bytes: Int
    /// The digest that the shard's seal states: of all that follows its first block. In version 1 that of the whole file.
    /// In lowercase hexadecimal.
    package let sha256: String
  }

  package struct SplitTable: Sendable, Equatable {
    package let shards: [Shard]
    /// How many tokens are `<unk>`.
    package let unknownTokens: Int
    package var tokens: Int { shards.reduce(0) { $0 + $1.tokens } }
    package var sequences: Int { shards.reduce(0) { $0 + ($1.sequences ?? 0) } }
  }

  /// 1, or the version of its seal.
  package let formatVersion: Int
  package let creator: String
  /// ISO 8601, UTC.
  package let created: String
  package let vocabulary: Vocabulary
  /// What the corpus is for.
  package var task = TaskName.languageModel
  /// The labels of a labelled corpus, by id.
  package var labels: [String] = []
  package let splits: [Split: SplitTable]
  /// Of ``ContentDigest``; nil in version 1.
  let contentDigest: String?
  /// How often each token of the vocabulary occurs in the train split; nil in version 1.
  let trainCounts: [Int]?

  package func shards(of split: Split) -> [Shard] { splits[split]?.shards ?? [] }

  static func shardName(_ split: Split, _ index: Int) -> String {
    let digits = String(index)
    return "\(split)-\(String(repeating: "0", count: max(0, 5 - digits.count)))\(digits).h5"
  }
}

extension CorpusManifest {
  /// Writes and seals the file; all of it is on the disk when this returns.
  /// - Throws: ``Failure`` or `H5Error` (can't write).
  func write(to path: String) throws {
    let file = try H5File.create(path, userBlockSize: Seal.size)
    try file.setAttribute("format", Self.format)
    try file.setAttribute("format_version", formatVersion)
    try file.setAttribute("creator", creator)
    try file.setAttribute("created", created)
    try file.setAttribute("tokenizer", vocabulary.tokenizer.rawValue)
    if task != .languageModel {
      try file.setAttribute("task", task.rawValue)
      try file.createDataset("labels", labels)
    }
    if let contentDigest { try file.setAttribute("content_digest", contentDigest) }
    try file.createDataset("vocabulary", vocabulary.tokens)
    if let trainCounts { try file.createDataset("train_counts", trainCounts.map { UInt64($0) }) }
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
      if task != .languageModel {
        try columns.createDataset("sequences", table.shards.map { UInt64($0.sequences ?? 0) })
      }
    }
    try file.close()
    try Seal.write(to: path, as: .corpusManifest)
  }

  /// Reads a manifest, of version 2 and later only after its seal and its digest were found right.
  /// - Throws: ``Failure`` or `H5Error` (bad data) where the file is missing, foreign, of a newer version, or damaged.
  init(readingFrom path: String) throws {
    let raw = try PosixFile(path)
    let identity = try raw.identity()
    var version = 1
    if try !Self.hasNoSeal(raw) {
      let seal = try Seal(of: raw, as: .corpusManifest)
      try seal.verifyDigest(of: raw)
      version = seal.formatVersion
    }
    let file = try H5File.open(path)
    try self.init(file, at: path, version: version)
    try file.close()
    // HDF5 opens by name: what it has parsed must be the file whose digest was right.
    guard FileIdentity(of: path) == identity else {
      throw Failure(.badData, "changed while it was read", at: path, remedy: "start again when nothing writes to it")
    }
  }

  /// Whether a file is one of version 1: HDF5's signature is at its very beginning.
  static func hasNoSeal(_ file: borrowing PosixFile) throws -> Bool {
    try file.read(Seal.hdf5Signature.count, at: 0) == Seal.hdf5Signature
  }

  private init(_ file: H5File, at path: String, version: Int) throws {
    try Self.checkFormat(of: file, at: path, Self.format, version: version)
    formatVersion = version
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
    (task, labels) = try Self.readTask(file, at: path)
    var splits: [Split: SplitTable] = [:]
    for split in Split.allCases where try file.contains("splits/\(split)") {
      splits[split] = try Self.readTable(file.openGroup("splits/\(split)"), task, at: "\(path):/splits/\(split)")
    }
    guard !splits.isEmpty else { throw Failure(.badData, "lists no shards", at: "\(path):/splits") }
    self.splits = splits
    contentDigest = version > 1 ? try file.attribute("content_digest") : nil
    trainCounts = version > 1 ? try Self.readCounts(file, vocabulary, splits[.train], at: path) : nil
  }

  /// Tells a file of another program, kind or version from one that can be read.
  static func checkFormat(of file: H5File, at path: String, _ expected: String, version: Int) throws {
    guard try file.hasAttribute("format"), try file.hasAttribute("format_version") else {
      throw Failure(.badData, "is not a \(expected): it has no format attribute", at: path)
    }
    let format: String = try file.attribute("format")
    guard format == expected else { throw Failure(.badData, "is a '\(format)', not a '\(expected)'", at: path) }
    let stated = try file.attribute("format_version", as: Int.self)
    guard stated == version else {
      throw Failure(
        .badData,
        version == 1
          ? "has format version \(stated), but not the seal that files have from version 2 on"
          : "has format version \(stated), where its seal states \(version)", at: path,
        remedy: SealedFormat.corpusManifest.remedy)
    }
  }

  /// Files of version 1, and text corpora, name no task.
  private static func readTask(_ file: H5File, at path: String) throws -> (TaskName, [String]) {
    guard try file.hasAttribute("task") else { return (.languageModel, []) }
    let name: String = try file.attribute("task")
    guard let task = TaskName(rawValue: name), task != .languageModel else {
      throw Failure(
        .badData, "is for an unknown task, '\(name)'", at: path,
        remedy: "open it with the version of lockstep that wrote it")
    }
    let labels = try file.openDataset("labels").readTexts()
    guard !labels.isEmpty, labels.count <= Int(Int32.max), Set(labels.map { Array($0.utf8) }).count == labels.count
    else {
      throw Failure(.badData, "are missing or contain a duplicate", at: "\(path):/labels")
    }
    return (task, labels)
  }

  private static func readTable(_ group: H5Group, _ task: TaskName, at place: String) throws -> SplitTable {
    let files = try group.openDataset("file").readTexts()
    let tokens = try group.openDataset("tokens").read(as: Int.self)
    let bytes = try group.openDataset("bytes").read(as: Int.self)
    let digests = try group.openDataset("sha256").readTexts()
    let sequences =
      task == .languageModel ? tokens.map { _ in 1 } : try group.openDataset("sequences").read(as: Int.self)
    guard !files.isEmpty, [tokens.count, bytes.count, digests.count, sequences.count].allSatisfy({ $0 == files.count })
    else {
      throw Failure(.badData, "the columns of the shard table differ in length", at: place)
    }
    // A name with a slash would reach outside the corpus; a count is a length that memory is asked for, and counts are
    // added up.
    guard files.count <= CorpusRecipe.mostShards, files.allSatisfy({ !$0.contains("/") && !$0.isEmpty }),
      tokens.allSatisfy({ $0 > 0 && $0 < 1 << 46 }), bytes.allSatisfy({ $0 > 0 && $0 < 1 << 46 }),
      zip(sequences, tokens).allSatisfy({ $0 > 0 && $0 <= $1 })
    else {
      throw Failure(.badData, "the shard table holds an impossible file name, token count or size", at: place)
    }
    let shards = files.indices.map {
      Shard(
        file: files[$0], tokens: tokens[$0], sequences: task == .languageModel ? nil : sequences[$0], bytes: bytes[$0],
        sha256: digests[$0])
    }
    let unknownTokens = try group.attribute("unknown_tokens", as: Int.self)
    let table = SplitTable(shards: shards, unknownTokens: unknownTokens)
    guard (0...table.tokens).contains(unknownTokens) else {
      throw Failure(.badData, "states \(unknownTokens) unknown tokens among \(table.tokens)", at: place)
    }
    return table
  }

  private static func readCounts(
    _ file: H5File, _ vocabulary: Vocabulary, _ train: SplitTable?, at path: String
  ) throws -> [Int] {
    let counts = try file.openDataset("train_counts").read(as: Int.self)
    let tokens = train?.tokens ?? 0
    guard counts.count == vocabulary.count, counts.allSatisfy({ (0...tokens).contains($0) }),
      counts.reduce(0, { $0 &+ $1 }) == tokens
    else {
      throw Failure(.badData, "do not add up to \(tokens) tokens", at: "\(path):/train_counts")
    }
    return counts
  }
}
