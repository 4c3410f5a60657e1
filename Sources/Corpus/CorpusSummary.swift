import Failures
import Foundation
import HDF5

/// What `lockstep inspect` says of a corpus directory.
package struct CorpusSummary: Codable, Sendable, Equatable {
  package struct ShardSummary: Codable, Sendable, Equatable {
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
    package let shards: [ShardSummary]

    enum CodingKeys: String, CodingKey {
      case name, tokens, shards
      case unknownTokens = "unknown_tokens"
    }
  }

  package let kind: String
  package let formatVersion: Int
  package let digestOK: Bool
  package let creator: String
  package let created: String
  package let tokenizer: Tokenizer
  package let vocabularySize: Int
  package let splits: [SplitSummary]

  enum CodingKeys: String, CodingKey {
    case kind, creator, created, tokenizer, splits
    case formatVersion = "format_version"
    case digestOK = "digest_ok"
    case vocabularySize = "vocabulary_size"
  }

  /// Opens the corpus and compares the digest of every shard.
  /// - Throws: ``Failure`` or `H5Error` (bad data) where it can't be opened; a digest that differs is not thrown.
  package init(directory: String) throws {
    let reader = try CorpusReader(directory: directory)
    let manifest = reader.manifest
    kind = CorpusManifest.format
    formatVersion = CorpusManifest.formatVersion
    creator = manifest.creator
    created = manifest.created
    tokenizer = manifest.vocabulary.tokenizer
    vocabularySize = manifest.vocabulary.count
    splits = try Split.allCases.compactMap { split in
      guard let table = manifest.splits[split] else { return nil }
      return SplitSummary(
        name: split.rawValue, tokens: table.tokens, unknownTokens: table.unknownTokens,
        shards: try table.shards.map { shard in
          ShardSummary(
            file: shard.file, tokens: shard.tokens, bytes: shard.bytes, sha256: shard.sha256,
            digestOK: try reader.digestMatches(shard))
        })
    }
    digestOK = splits.allSatisfy { $0.shards.allSatisfy(\.digestOK) }
  }
}

/// What `lockstep inspect` says of one shard file.
package struct ShardSummary: Codable, Sendable, Equatable {
  package let kind: String
  package let formatVersion: Int
  /// Whether file and manifest agree; nil where no manifest that lists this file lies beside it.
  package let digestOK: Bool?
  package let split: String
  package let shard: Int
  package let firstToken: Int
  package let tokens: Int
  package let elementType: String
  package let bytes: Int
  package let sha256: String
  package let tokenizer: String
  package let vocabularySize: Int

  enum CodingKeys: String, CodingKey {
    case kind, split, shard, tokens, bytes, sha256, tokenizer
    case formatVersion = "format_version"
    case digestOK = "digest_ok"
    case firstToken = "first_token"
    case elementType = "element_type"
    case vocabularySize = "vocabulary_size"
  }

  /// - Throws: ``Failure`` or `H5Error` (bad data) where the file is not a corpus shard.
  package init(file path: String) throws {
    let file = try H5File.open(path)
    try CorpusManifest.checkFormat(of: file, at: path, CorpusManifest.shardFormat)
    let dataset = try file.openDataset("tokens")
    kind = CorpusManifest.shardFormat
    formatVersion = CorpusManifest.formatVersion
    split = try file.attribute("split")
    shard = try file.attribute("shard", as: Int.self)
    firstToken = try file.attribute("first_token", as: Int.self)
    tokens = try dataset.shape().reduce(1, *)
    elementType = try dataset.elementType()?.rawValue ?? "unknown"
    tokenizer = try file.attribute("tokenizer")
    vocabularySize = try file.attribute("vocabulary_size", as: Int.self)
    bytes = fileSize(at: path) ?? 0
    let digest = try Corpus.sha256(ofFileAt: path)
    sha256 = digest
    let directory = (path as NSString).deletingLastPathComponent
    let name = (path as NSString).lastPathComponent
    let manifest = try? CorpusManifest(
      readingFrom: (directory.isEmpty ? "." : directory) + "/" + CorpusManifest.fileName)
    let listed = manifest.flatMap { manifest in
      Split.allCases.flatMap(manifest.shards).first { $0.file == name }
    }
    digestOK = listed.map { $0.sha256 == digest }
  }
}
