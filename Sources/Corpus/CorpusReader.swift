import Failures
import HDF5

/// A corpus directory, open for reading from any thread.
package final class CorpusReader: Sendable {
  package let directory: String
  package let manifest: CorpusManifest
  private let sources: [Split: ShardedTokens]

  static let remedy = "restore the file, or run 'lockstep prepare' again"

  /// Opens the manifest and looks at the shard files' sizes; reads no tokens.
  ///
  /// - Throws: ``Failure`` or `H5Error` (bad data) where the directory is not a corpus, of another version, or a shard
  ///   is missing or has another size than the manifest says.
  package init(directory name: String) throws {
    let directory = name.count > 1 && name.hasSuffix("/") ? String(name.dropLast()) : name
    let path = "\(directory)/\(CorpusManifest.fileName)"
    guard fileSize(at: directory) != nil else {
      throw Failure(
        .badData, "no such corpus directory", at: directory,
        remedy: "make one with 'lockstep prepare TEXT --output DIR'")
    }
    guard fileSize(at: path) != nil else {
      throw Failure(
        .badData, "is not a corpus: there is no \(CorpusManifest.fileName) in it", at: directory,
        remedy: "make one with 'lockstep prepare TEXT --output DIR'")
    }
    let manifest = try CorpusManifest(readingFrom: path)
    for shard in Split.allCases.flatMap(manifest.shards) {
      let shardPath = "\(directory)/\(shard.file)"
      guard let size = fileSize(at: shardPath) else {
        throw Failure(.badData, "the shard is missing", at: shardPath, remedy: Self.remedy)
      }
      guard size == shard.bytes else {
        throw Failure(
          .badData, "the shard has \(size) bytes where the manifest says \(shard.bytes)", at: shardPath,
          remedy: Self.remedy)
      }
    }
    self.directory = directory
    self.manifest = manifest
    sources = manifest.splits.mapValues {
      ShardedTokens(directory: directory, shards: $0.shards, vocabularySize: manifest.vocabulary.count)
    }
  }

  package var vocabulary: Vocabulary { manifest.vocabulary }

  /// 0 where the corpus has no such split.
  package func tokenCount(_ split: Split) -> Int { sources[split]?.count ?? 0 }

  /// - Throws: ``Failure`` (bad data) where the corpus has no such split.
  package func source(_ split: Split) throws -> any TokenSource {
    guard let source = sources[split] else {
      throw Failure(.badData, "the corpus has no \(split) split", at: directory, remedy: "run 'lockstep prepare' again")
    }
    return source
  }

  /// Reads the tokens at `range` of a split; `ids` has the length of the range.
  /// - Throws: ``Failure`` or `H5Error` (bad data), naming shard and rows.
  package func read(_ split: Split, _ range: Range<Int>, into ids: UnsafeMutableBufferPointer<Int32>) throws {
    try source(split).read(range, into: ids)
  }

  /// Compares the SHA-256 of each shard file with the manifest; reads the whole corpus.
  /// - Throws: ``Failure`` (bad data) that names the first shard that differs.
  package func verify() throws {
    for shard in Split.allCases.flatMap(manifest.shards) where try !digestMatches(shard) {
      throw Failure(
        .badData, "the SHA-256 is not that of the manifest", at: "\(directory)/\(shard.file)", remedy: Self.remedy)
    }
  }

  func digestMatches(_ shard: CorpusManifest.Shard) throws -> Bool {
    try sha256(ofFileAt: "\(directory)/\(shard.file)") == shard.sha256
  }
}
