import Crypto
import Failures
import Files
import HDF5
import Interfaces
import Parameters
import Synchronization

/// A corpus directory, open for reading from any thread: token by token where it is a text, as ``LabelledSplit`` where its
/// sequences have labels.
package final class CorpusReader: Sendable {
  package let directory: String
  package let manifest: CorpusManifest
  private let files: [Split: [ShardFile]]
  /// Of a text corpus.
  private let sources: [Split: ShardedTokens]
  /// What version 1 does not store, once it was computed.
  private let computed = Mutex<(contentDigest: String, trainCounts: [Int])?>(nil)

  /// Opens the manifest and looks at the shard files' sizes; reads no tokens.
  ///
  /// - Parameter task: what the corpus is opened for; nil: whatever it is for.
  /// - Throws: ``Failure`` or `H5Error` (bad data) where the directory is not a corpus, of another version, for another
  ///   task, or a shard is missing or has another size than the manifest says.
  package init(directory name: String, for task: TaskName? = .languageModel) throws {
    let directory = name.count > 1 && name.hasSuffix("/") ? String(name.dropLast()) : name
    let path = "\(directory)/\(CorpusManifest.fileName)"
    guard FileIdentity(of: directory) != nil else {
      throw Failure(
        .badData, "no such corpus directory", at: directory,
        remedy: "make one with 'lockstep prepare TEXT --output DIR'")
    }
    guard FileIdentity(of: path) != nil else {
      throw Failure(
        .badData, "is not a corpus: there is no \(CorpusManifest.fileName) in it", at: directory,
        remedy: "make one with 'lockstep prepare TEXT --output DIR'")
    }
    let manifest = try CorpusManifest(readingFrom: path)
    if let task, manifest.task != task {
      throw Failure(
        .badData, "is a corpus for \(manifest.task.rawValue), not for \(task.rawValue)", at: directory,
        remedy: "give a corpus that 'lockstep prepare --task \(task.rawValue)' has made")
    }
    (self.directory, self.manifest) = (directory, manifest)
    files = try manifest.splits.mapValues { table in
      try table.shards.map { try ShardFile(directory: directory, entry: $0, formatVersion: manifest.formatVersion) }
    }
    sources =
      manifest.task == .languageModel
      ? files.mapValues { ShardedTokens(shards: $0, vocabularySize: manifest.vocabulary.count) } : [:]
  }

  package var vocabulary: Vocabulary { manifest.vocabulary }

  /// 0 where the corpus has no such split.
  package func tokenCount(_ split: Split) -> Int { manifest.splits[split]?.tokens ?? 0 }

  /// Of a labelled corpus; 0 where it has no such split.
  package func sequenceCount(_ split: Split) -> Int { manifest.splits[split]?.sequences ?? 0 }

  /// - Throws: ``Failure`` (bad data) where the corpus has no such split.
  package func source(_ split: Split) throws -> any TokenSource {
    guard let source = sources[split] else { throw lacks(split) }
    return source
  }

  func lacks(_ split: Split) -> Failure {
    Failure(.badData, "the corpus has no \(split) split", at: directory, remedy: "run 'lockstep prepare' again")
  }

  /// Reads the tokens at `range` of a split; `ids` has the length of the range.
  /// - Throws: ``Failure`` or `H5Error` (bad data), naming shard and rows.
  package func read(_ split: Split, _ range: Range<Int>, into ids: UnsafeMutableBufferPointer<Int32>) throws {
    try source(split).read(range, into: ids)
  }

  /// Compares the SHA-256 of each shard file with the manifest; reads the whole corpus.
  /// - Throws: ``Failure`` (bad data) that names the first shard that differs.
  package func verify() throws {
    for shard in Split.allCases.flatMap(shardFiles) { try shard.verify() }
  }

  func shardFiles(of split: Split) -> [ShardFile] { files[split] ?? [] }
}

// MARK: - All shards

extension CorpusReader {
  /// The shard files of all splits, in the order of ``Split/allCases``.
  var allShards: [ShardFile] { Split.allCases.flatMap(shardFiles) }

  /// The sizes of all shard files, in bytes.
  package var shardSizes: [Int] { allShards.map(\.entry.bytes) }

  /// Which of ``shardSizes`` hold a range of a split's tokens.
  package func shards(of split: Split, holding tokens: Range<Int>) -> Range<Int> {
    let before = Split.allCases.prefix { $0 != split }.reduce(0) { $0 + shardFiles(of: $1).count }
    guard let source = sources[split], !tokens.isEmpty else { return before..<before }
    let own = source.shards(holding: tokens)
    return before + own.lowerBound..<before + own.upperBound
  }

  /// A text that is the same for processes of one machine that see the same files under the corpus's name.
  package var filesKey: String {
    var hash = SHA256()
    for shard in allShards {
      let found = shard.currentIdentity
      let line =
        "\(shard.entry.file) \(shard.entry.sha256) \(found.device) \(found.inode) \(found.size) \(found.modified)\n"
      hash.update(data: Array(line.utf8))
    }
    return hash.finalize().hexadecimal
  }
}

// MARK: - The vocabulary alone

extension CorpusReader {
  /// Whether there is a corpus in a directory, or the path is that of its manifest.
  package static func isCorpus(_ path: String) -> Bool {
    FileIdentity(of: "\(path)/\(CorpusManifest.fileName)") != nil || (try? CorpusFile(path: path)) == .manifest
  }

  /// The vocabulary of a corpus, whose shards need not be there.
  /// - Throws: ``Failure`` or `H5Error` (bad data) where the manifest can't be read.
  package static func vocabulary(of path: String) throws -> Vocabulary {
    let manifest = "\(path)/\(CorpusManifest.fileName)"
    return try CorpusManifest(readingFrom: FileIdentity(of: manifest) == nil ? path : manifest).vocabulary
  }

  /// Compares the vocabulary of a model with the corpus's: token ids of one mean nothing with the other.
  /// - Parameter path: the model's file.
  /// - Throws: ``Failure`` (bad data) that says where they differ.
  package func checkVocabulary(_ vocabulary: Vocabulary, ofModel path: String) throws {
    guard let difference = vocabulary.difference(from: self.vocabulary) else { return }
    throw Failure(
      .badData, "the model has another vocabulary than the corpus \(directory)", at: path, cause: difference,
      remedy: "give the corpus that it was trained on (data.corpus, --corpus), or prepare the text with its "
        + "vocabulary: 'lockstep prepare TEXT --vocabulary-from \(path) --output DIR'")
  }
}

extension CorpusReader {
  /// The SHA-256 of what the corpus says (``ContentDigest``): equal for any sharding, path and date, another for another
  /// text of the same vocabulary. In lowercase hexadecimal digits.
  ///
  /// Stored in the manifest; a corpus of version 1 is read whole at the first call.
  /// - Throws: ``Failure`` or `H5Error` (bad data), only in version 1.
  package func contentDigest() throws -> String {
    if let contentDigest = manifest.contentDigest { return contentDigest }
    return try computedContent().contentDigest
  }

  /// How often each token of the vocabulary occurs in the train split, by id.
  ///
  /// Stored in the manifest; a corpus of version 1 is read whole at the first call.
  /// - Throws: ``Failure`` or `H5Error` (bad data), only in version 1.
  package func trainCounts() throws -> [Int] {
    if let trainCounts = manifest.trainCounts { return trainCounts }
    return try computedContent().trainCounts
  }

  private func computedContent() throws -> (contentDigest: String, trainCounts: [Int]) {
    try computed.withLock { computed in
      if let computed { return computed }
      // Nothing of a shard is parsed before its digest is right.
      try verify()
      var tally = ContentTally(vocabulary)
      let block = Buffer<Int32>(repeating: 0, count: 1 << 20)
      for split in Split.allCases {
        let count = tokenCount(split)
        for start in stride(from: 0, to: count, by: block.count) {
          let part = UnsafeMutableBufferPointer(rebasing: block.values[..<min(block.count, count - start)])
          try read(split, start..<start + part.count, into: part)
          tally.add(UnsafeBufferPointer(part), of: split)
        }
      }
      let trainCounts = tally.trainCounts
      let content = (contentDigest: tally.finish(), trainCounts: trainCounts)
      computed = content
      return content
    }
  }
}
