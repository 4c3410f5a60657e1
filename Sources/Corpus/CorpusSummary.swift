import Failures
import Interfaces

/// What `lockstep inspect` says of a corpus directory.
package struct CorpusSummary: Codable, Sendable, Equatable {
  package struct ShardEntry: Codable, Sendable, Equatable {
    package let file: String
    package let tokens: Int
    package let bytes: Int
    package let sha256: String
    package let digestOK: Bool

    enum CodingKeys: String, CodingKey {
      case file, tokens, bytes, sha256
      case digestOK = "digest_ok"
    }
  }

  package struct SplitSummary: Codable, Sendable, Equatable {
    package let name: String
    package let tokens: Int
    package let unknownTokens: Int
    /// Of a labelled corpus.
    package let sequences: Int?
    package let shards: [ShardEntry]

    enum CodingKeys: String, CodingKey {
      case name, tokens, sequences, shards
      case unknownTokens = "unknown_tokens"
    }
  }

  package let kind: String
  package let formatVersion: Int
  package let digestOK: Bool
  package let creator: String
  package let created: String
  package let task: TaskName
  package let tokenizer: Tokenizer
  package let vocabularySize: Int
  /// Of a labelled corpus.
  package let labels: [String]?
  package let splits: [SplitSummary]
  /// Of all tokens; nil in version 1.
  package let contentDigest: String?
  /// What is wrong with the first damaged shard.
  package private(set) var damage: Failure? = nil

  enum CodingKeys: String, CodingKey {
    case kind, creator, created, task, tokenizer, labels, splits
    case formatVersion = "format_version"
    case digestOK = "digest_ok"
    case vocabularySize = "vocabulary_size"
    case contentDigest = "content_digest"
  }

  /// Opens the corpus and compares the digest of every shard.
  /// - Throws: ``Failure`` or `H5Error` (bad data) where it can't be opened; a digest that differs is not thrown.
  package init(directory: String) throws {
    let reader = try CorpusReader(directory: directory, for: nil)
    let manifest = reader.manifest
    kind = "corpus"
    formatVersion = manifest.formatVersion
    creator = manifest.creator
    created = manifest.created
    task = manifest.task
    labels = manifest.task == .languageModel ? nil : manifest.labels
    tokenizer = manifest.vocabulary.tokenizer
    vocabularySize = manifest.vocabulary.count
    contentDigest = manifest.contentDigest
    var damage: Failure?
    splits = try Split.allCases.compactMap { split in
      guard let table = manifest.splits[split] else { return nil }
      return SplitSummary(
        name: split.rawValue, tokens: table.tokens, unknownTokens: table.unknownTokens,
        sequences: manifest.task == .languageModel ? nil : table.sequences,
        shards: try reader.shardFiles(of: split).map { file in
          let failure: Failure?
          do {
            try file.verify()
            failure = nil
          } catch let found as Failure {
            failure = found
          }
          damage = damage ?? failure
          return ShardEntry(
            file: file.entry.file, tokens: file.entry.tokens, bytes: file.entry.bytes, sha256: file.entry.sha256,
            digestOK: failure == nil)
        })
    }
    self.damage = damage
    digestOK = damage == nil
  }
}
