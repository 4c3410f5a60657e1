import Failures
import Files
import Foundation
import HDF5

/// Writes the token sequence of a corpus, split after split, into shard files and the manifest.
///
/// The number of tokens of each split is known before the first is written, so every dataset is created in its size.
/// Memory: one HDF5 chunk. Used by one thread.
final class CorpusWriter: TokenOutput {
  private struct PlannedShard {
    let split: Split
    let index: Int
    let first: Int  // its first token, counted in the split
    let tokens: Int
  }

  private let directory: StagedDirectory
  private let vocabulary: Vocabulary
  private let elementType: H5ElementType
  private let storage: H5Storage
  private let plan: [PlannedShard]

  private var finished: [(split: Split, shard: CorpusManifest.Shard)] = []
  private var tally: ContentTally
  private var file: H5File?
  private var dataset: H5Dataset?
  private var written = 0  // tokens of the open shard

  /// - Parameters:
  ///   - tokens: how many tokens each split will get.
  ///   - shards: into how many files of almost equal length each split is cut.
  ///   - chunkBytes: stored size of an HDF5 chunk before compression.
  init(
    directory: StagedDirectory, vocabulary: Vocabulary, tokens: [Split: Int], shards: Int, chunkBytes: Int = 1 << 20
  ) {
    (self.directory, self.vocabulary) = (directory, vocabulary)
    tally = ContentTally(vocabulary)
    elementType = Self.elementType(forVocabularyOf: vocabulary.count)
    // Level 1: on token ids the higher levels cost several times the time and win a few per cent.
    storage = H5Storage(
      chunk: [max(1, chunkBytes / elementType.size)], shuffle: true, deflate: 1, fletcher32: true)
    plan = Split.allCases.flatMap { split -> [PlannedShard] in
      let count = tokens[split] ?? 0
      guard count > 0 else { return [] }
      return (0..<shards).map { index in
        let first = Self.boundary(index, of: shards, tokens: count)
        return PlannedShard(
          split: split, index: index, first: first,
          tokens: Self.boundary(index + 1, of: shards, tokens: count) - first)
      }
    }
  }

  /// The smallest unsigned type that holds every id.
  static func elementType(forVocabularyOf count: Int) -> H5ElementType {
    switch count {
    case ...(1 << 8): .uint8
    case ...(1 << 16): .uint16
    default: .uint32
    }
  }

  /// ⌊index · tokens / shards⌋ without overflow.
  private static func boundary(_ index: Int, of shards: Int, tokens: Int) -> Int {
    let (quotient, remainder) = tokens.quotientAndRemainder(dividingBy: shards)
    return index * quotient + index * remainder / shards
  }

  func append(_ ids: UnsafeBufferPointer<Int32>) throws {
    var rest = ids[...]
    while !rest.isEmpty {
      if dataset == nil { try openNextShard() }
      guard let dataset else { throw Self.changed }
      let shard = plan[finished.count]
      let count = min(rest.count, shard.tokens - written)
      let part = UnsafeBufferPointer(rebasing: rest.prefix(count))
      try dataset.write(part, at: [written], shape: [count])
      tally.add(part, of: shard.split)
      written += count
      rest = rest.dropFirst(count)
      if written == shard.tokens { try closeShard() }
    }
  }

  /// Writes the manifest.
  /// - Throws: ``Failure`` where fewer tokens came than were promised, or the disk refuses.
  func finish() throws -> CorpusManifest {
    guard finished.count == plan.count else { throw Self.changed }
    var splits: [Split: CorpusManifest.SplitTable] = [:]
    for split in Split.allCases {
      let shards = finished.filter { $0.split == split }.map(\.shard)
      guard !shards.isEmpty else { continue }
      splits[split] = CorpusManifest.SplitTable(shards: shards, unknownTokens: tally.unknownTokens[split] ?? 0)
    }
    let manifest = CorpusManifest(
      formatVersion: SealedFormat.corpusManifest.currentVersion, creator: "Lockstep",
      created: Date().formatted(.iso8601), vocabulary: vocabulary, splits: splits, contentDigest: tally.finish(),
      trainCounts: tally.trainCounts)
    try manifest.write(to: "\(directory.path)/\(CorpusManifest.fileName)")
    return manifest
  }

  /// Closes an unfinished file, so that its directory can be removed.
  func abandon() {
    dataset = nil
    try? file?.close()
    file = nil
  }

  private func openNextShard() throws {
    guard finished.count < plan.count else { throw Self.changed }
    let shard = plan[finished.count]
    let name = CorpusManifest.shardName(shard.split, shard.index)
    let file = try H5File.create("\(directory.path)/\(name)", userBlockSize: Seal.size)
    try file.setAttribute("format", CorpusManifest.shardFormat)
    try file.setAttribute("format_version", SealedFormat.corpusShard.currentVersion)
    try file.setAttribute("split", shard.split.rawValue)
    try file.setAttribute("shard", shard.index)
    try file.setAttribute("first_token", shard.first)
    try file.setAttribute("tokenizer", vocabulary.tokenizer.rawValue)
    try file.setAttribute("vocabulary_size", vocabulary.count)
    dataset = try file.createDataset("tokens", elementType, shape: [shard.tokens], storage: storage)
    self.file = file
    written = 0
  }

  private func closeShard() throws {
    let shard = plan[finished.count]
    let name = CorpusManifest.shardName(shard.split, shard.index)
    let path = "\(directory.path)/\(name)"
    dataset = nil
    try file?.close()
    file = nil
    let seal = try Seal.write(to: path, as: .corpusShard)
    let entry = CorpusManifest.Shard(
      file: name, tokens: shard.tokens, bytes: Seal.size + seal.byteCount, sha256: seal.sha256)
    finished.append((shard.split, entry))
  }

  private static let changed = Failure(
    .badData, "the text changed while it was read", remedy: "run 'lockstep prepare' again when nothing writes to it")
}
