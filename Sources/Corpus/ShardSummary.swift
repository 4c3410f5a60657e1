import Failures
import Files
import HDF5

/// What `lockstep inspect` says of one shard file.
package struct ShardSummary: Codable, Sendable, Equatable {
  package let kind: String
  package let formatVersion: Int
  /// True where the digest is right; nil in version 1 where no manifest that lists the file lies beside it.
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
  /// Whether a manifest that lists the file lies beside it.
  package let isListed: Bool

  enum CodingKeys: String, CodingKey {
    case kind, split, shard, tokens, bytes, sha256, tokenizer
    case isListed = "listed"
    case formatVersion = "format_version"
    case digestOK = "digest_ok"
    case firstToken = "first_token"
    case elementType = "element_type"
    case vocabularySize = "vocabulary_size"
  }

  /// Reads the whole file; nothing of it is parsed before its digest is right, where one is stated.
  /// - Throws: ``Failure`` or `H5Error` (bad data) where the file is not a corpus shard, is damaged, or is not the one
  ///   that the manifest beside it names.
  package init(file path: String) throws {
    let place = PathName(path)
    let manifest = try? CorpusManifest(readingFrom: place.directory + "/" + CorpusManifest.fileName)
    let entry = manifest.flatMap { manifest in
      Split.allCases.flatMap(manifest.shards).first { $0.file == place.last }
    }
    let raw = try PosixFile(path)
    bytes = try raw.size()
    if try CorpusManifest.hasNoSeal(raw) {
      formatVersion = 1
      sha256 = try raw.sha256(from: 0)
      digestOK = entry == nil ? nil : true
    } else {
      let seal = try Seal(of: raw, as: .corpusShard)
      try seal.verifyDigest(of: raw)
      (formatVersion, sha256, digestOK) = (seal.formatVersion, seal.sha256, true)
    }
    isListed = entry != nil
    if let entry, entry.sha256 != sha256 {
      throw Failure(
        .badData,
        formatVersion == 1
          ? "damaged: the SHA-256 is not that of the manifest" : "is not the shard that the manifest beside it names",
        at: path, remedy: SealedFormat.corpusShard.remedy)
    }
    let file = try H5File.open(path)
    try CorpusManifest.checkFormat(of: file, at: path, CorpusManifest.shardFormat, version: formatVersion)
    let dataset = try file.openDataset(file.contains("source") ? "source/tokens" : "tokens")
    let shape = try dataset.shape()
    kind = "shard"
    split = try file.attribute("split")
    shard = try file.attribute("shard", as: Int.self)
    firstToken = try file.attribute("first_token", as: Int.self)
    elementType = try dataset.elementType()?.rawValue ?? "unknown"
    tokenizer = try file.attribute("tokenizer")
    vocabularySize = try file.attribute("vocabulary_size", as: Int.self)
    guard shape.count == 1, (0..<1 << 62).contains(firstToken), shape[0] < 1 << 62 else {
      throw Failure(
        .badData, "can't begin at token \(firstToken) of a split and have shape \(shape)", at: "\(path):/tokens",
        remedy: SealedFormat.corpusShard.remedy)
    }
    tokens = shape[0]
  }
}
