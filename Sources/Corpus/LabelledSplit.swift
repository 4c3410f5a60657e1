import Failures
import Files
import HDF5

/// The sequences of a split and their labels, in memory: eight bytes per token.
package struct LabelledSplit: Sendable {
  /// Where each sequence begins in ``tokens``, and last their number.
  package private(set) var offsets = [0]
  package private(set) var tokens: [Int32] = []
  /// One for each token.
  package private(set) var labels: [Int32] = []

  package init() {}

  package mutating func append(tokens: some Collection<Int32>, labels: some Collection<Int32>) {
    precondition(tokens.count == labels.count, "a label per token")
    self.tokens += tokens
    self.labels += labels
    offsets.append(self.tokens.count)
  }

  /// Sequences.
  package var count: Int { offsets.count - 1 }

  /// Where a sequence stands in ``tokens`` and ``labels``.
  package func range(of sequence: Int) -> Range<Int> { offsets[sequence]..<offsets[sequence + 1] }

  package func length(of sequence: Int) -> Int { offsets[sequence + 1] - offsets[sequence] }

  /// Tokens of each sequence.
  package var lengths: [Int] { (0..<count).map(length(of:)) }
}

extension CorpusReader {
  /// The labels, by id.
  package var labels: [String] { manifest.labels }

  /// Compares the labels of a model with the corpus's: label ids of one mean nothing with the other.
  ///
  /// - Parameter path: the model's file.
  /// - Throws: ``Failure`` (bad data) that says where they differ.
  package func checkLabels(_ labels: [String]?, ofModel path: String) throws {
    let model = labels ?? []
    guard !model.elementsEqual(self.labels, by: { $0.utf8.elementsEqual($1.utf8) }) else { return }
    let first = zip(model, self.labels).first { $0 != $1 }
    throw Failure(
      .badData, "the model has other labels than the corpus \(directory)", at: path,
      cause: first.map { "the first that differs is '\($0)' against '\($1)'" }
        ?? "\(model.count) labels against \(self.labels.count)",
      remedy: "give the corpus that it was trained on, or one with the same labels in its train split")
  }

  /// Reads a split of a labelled corpus, after each file's digest was found right.
  ///
  /// - Throws: ``Failure`` or `H5Error` (bad data), naming file and dataset.
  package func labelledSplit(_ split: Split) throws -> LabelledSplit {
    guard manifest.splits[split] != nil else { throw lacks(split) }
    var sequences = LabelledSplit()
    for shard in shardFiles(of: split) {
      try shard.ensureVerified {}
      try shard.appendSequences(to: &sequences, vocabularySize: vocabulary.count, labelCount: labels.count)
    }
    return sequences
  }
}

extension ShardFile {
  fileprivate func appendSequences(
    to split: inout LabelledSplit, vocabularySize: Int, labelCount: Int
  ) throws {
    let file = try openFile()
    func values(_ name: String, below bound: Int) throws -> [Int32] {
      let ids = try open(name, count: entry.tokens, in: file).read(as: Int.self)
      guard ids.allSatisfy({ (0..<bound).contains($0) }) else {
        throw Failure(
          .badData, "holds an id that is not below \(bound)", at: "\(path):/\(name)",
          remedy: SealedFormat.corpusShard.remedy)
      }
      return ids.map { Int32($0) }
    }
    let tokens = try values("source/tokens", below: vocabularySize)
    let labels = try values("labels", below: labelCount)
    let offsets = try file.openDataset("source/offsets").read(as: Int.self)
    guard offsets.count == (entry.sequences ?? 0) + 1, offsets.first == 0, offsets.last == tokens.count,
      zip(offsets, offsets.dropFirst()).allSatisfy({ $0 < $1 })
    else {
      throw Failure(
        .badData, "are not the beginnings of \(entry.sequences ?? 0) sequences", at: "\(path):/source/offsets",
        remedy: SealedFormat.corpusShard.remedy)
    }
    for (start, end) in zip(offsets, offsets.dropFirst()) {
      split.append(tokens: tokens[start..<end], labels: labels[start..<end])
    }
  }
}
