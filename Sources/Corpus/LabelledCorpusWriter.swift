import Crypto
import Files
import Foundation
import HDF5
import Interfaces

/// Writes the splits of a labelled corpus into shard files, cut between sequences, and the manifest.
///
/// A shard has `/source/tokens`, `/source/offsets`, from which on each sequence's tokens stand there and last their number,
/// and `/labels`, one for each token.
final class LabelledCorpusWriter {
  private let directory: StagedDirectory
  private let vocabulary: Vocabulary
  private let labels: [String]
  private let shards: Int
  private var splits: [Split: CorpusManifest.SplitTable] = [:]
  private var trainCounts: [Int]
  private var digest = SHA256()

  init(_ directory: StagedDirectory, _ vocabulary: Vocabulary, labels: [String], shards: Int) {
    (self.directory, self.vocabulary, self.labels, self.shards) = (directory, vocabulary, labels, shards)
    trainCounts = Array(repeating: 0, count: vocabulary.count)
    for text in ["lockstep labelled corpus", TaskName.tagging.rawValue] + vocabulary.tokens + [""] + labels {
      digest.update(data: Array("\(text.utf8.count) \(text)\n".utf8))
    }
  }

  func write(_ sequences: LabelledSplit, _ split: Split) throws {
    if split == .train { for token in sequences.tokens { trainCounts[Int(token)] += 1 } }
    digest.update(data: Array("\(split) \(sequences.count) \(sequences.tokens.count)\n".utf8))
    for values in [
      (0..<sequences.count).map { Int32(sequences.length(of: $0)) }, sequences.tokens, sequences.labels,
    ] {
      values.map(\.littleEndian).withUnsafeBytes { digest.update(bufferPointer: $0) }
    }
    let table = try (0..<shards).map { index in
      try write(
        sequences, (index * sequences.count / shards)..<((index + 1) * sequences.count / shards), split, index)
    }
    let unknown = sequences.tokens.count { $0 == vocabulary.unknown }
    splits[split] = CorpusManifest.SplitTable(shards: table, unknownTokens: unknown)
  }

  private func write(
    _ sequences: LabelledSplit, _ range: Range<Int>, _ split: Split, _ index: Int
  ) throws -> CorpusManifest.Shard {
    let name = CorpusManifest.shardName(split, index)
    let path = "\(directory.path)/\(name)"
    let tokens = sequences.offsets[range.lowerBound]..<sequences.offsets[range.upperBound]
    let file = try H5File.create(path, userBlockSize: Seal.size)
    try file.setAttribute("format", CorpusManifest.shardFormat)
    try file.setAttribute("format_version", SealedFormat.corpusShard.currentVersion)
    try file.setAttribute("task", TaskName.tagging.rawValue)
    try file.setAttribute("split", split.rawValue)
    try file.setAttribute("shard", index)
    try file.setAttribute("first_token", tokens.lowerBound)
    try file.setAttribute("tokenizer", vocabulary.tokenizer.rawValue)
    try file.setAttribute("vocabulary_size", vocabulary.count)
    let source = try file.createGroup("source")
    try write(sequences.tokens[tokens], "tokens", below: vocabulary.count, in: source)
    let offsets = sequences.offsets[range.lowerBound...range.upperBound].map { Int64($0 - tokens.lowerBound) }
    try source.createDataset("offsets", offsets, storage: Self.storage(offsets.count, bytes: 8)).close()
    try write(sequences.labels[tokens], "labels", below: labels.count, in: file)
    try file.close()
    let seal = try Seal.write(to: path, as: .corpusShard)
    return CorpusManifest.Shard(
      file: name, tokens: tokens.count, sequences: range.count, bytes: Seal.size + seal.byteCount, sha256: seal.sha256)
  }

  private func write(_ values: ArraySlice<Int32>, _ name: String, below bound: Int, in group: H5Group) throws {
    let type = CorpusWriter.elementType(forVocabularyOf: bound)
    let dataset = try group.createDataset(
      name, type, shape: [values.count], storage: Self.storage(values.count, bytes: type.size))
    try values.withUnsafeBufferPointer { try dataset.write($0, at: [0], shape: [values.count]) }
    try dataset.close()
  }

  private static func storage(_ count: Int, bytes: Int) -> H5Storage {
    H5Storage(chunk: [max(1, min(count, (1 << 20) / bytes))], shuffle: true, deflate: 1, fletcher32: true)
  }

  func finish() throws -> CorpusManifest {
    var manifest = CorpusManifest(
      formatVersion: SealedFormat.corpusManifest.currentVersion, creator: "Lockstep",
      created: Date().formatted(.iso8601), vocabulary: vocabulary, splits: splits,
      contentDigest: digest.finalize().hexadecimal, trainCounts: trainCounts)
    (manifest.task, manifest.labels) = (.tagging, labels)
    try manifest.write(to: "\(directory.path)/\(CorpusManifest.fileName)")
    return manifest
  }
}
