import Failures
import Foundation
import HDF5

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
    kind = "shard"
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
    let place = PathName(path)
    let manifest = try? CorpusManifest(readingFrom: place.directory + "/" + CorpusManifest.fileName)
    let listed = manifest.flatMap { manifest in
      Split.allCases.flatMap(manifest.shards).first { $0.file == place.last }
    }
    digestOK = listed.map { $0.sha256 == digest }
  }
}
