import Failures
import Files
import Foundation
import HDF5
import Interfaces

/// What a labelled corpus is made from and how.
package struct LabelledRecipe: Sendable {
  package let texts: [String]
  package let splitting: CorpusRecipe.Splitting
  let columns: ColumnText.Columns?
  package let limits: VocabularyLimits
  package let shards: Int
  package let output: String
  package let replacesOutput: Bool

  /// - Parameter columns: `FORM:LABEL`; nil for the first and the last column.
  /// - Throws: ``Failure`` (usage) for values that no text could go with.
  package init(
    texts: [String], splitting: CorpusRecipe.Splitting, columns: String? = nil, limits: VocabularyLimits = .none,
    shards: Int = 1, output: String, replacesOutput: Bool = false
  ) throws {
    guard !texts.isEmpty else { throw Failure(.usage, "no text is given", remedy: "name at least one file") }
    guard !output.isEmpty else { throw Failure(.usage, "the name is empty", at: "--output") }
    guard (1...CorpusRecipe.mostShards).contains(shards) else {
      throw Failure(.usage, "\(shards) is out of range", at: "--shards", remedy: "give 1 to \(CorpusRecipe.mostShards)")
    }
    (self.texts, self.splitting, self.limits, self.shards) = (texts, splitting, limits, shards)
    (self.output, self.replacesOutput) = (output, replacesOutput)
    self.columns = try columns.map(ColumnText.Columns.init(parsing:))
  }
}

/// Makes a corpus of labelled sentences. The texts are held in memory.
package struct LabelledCorpusBuilder {
  private let recipe: LabelledRecipe
  private let warn: (String) -> Void
  private let willContinue: () throws -> Void

  /// - Parameters:
  ///   - warn: told of what is taken as it stands, and is likely to be meant otherwise.
  ///   - willContinue: called every now and then; what it throws ends ``run()``.
  package init(
    _ recipe: LabelledRecipe, warn: @escaping (String) -> Void = { _ in },
    willContinue: @escaping () throws -> Void = {}
  ) {
    (self.recipe, self.warn, self.willContinue) = (recipe, warn, willContinue)
  }

  /// Writes the corpus, or throws and leaves nothing behind. Returns its manifest.
  ///
  /// - Throws: ``Failure`` and `H5Error`: bad data where a text or a split is refused, can't write for the output; what
  ///   `willContinue` throws.
  package func run() throws -> CorpusManifest {
    let texts = try readTexts()
    let directory = try StagedDirectory(
      for: recipe.output, replaces: recipe.replacesOutput, marker: CorpusManifest.fileName)
    do {
      let manifest = try write(texts, into: directory)
      try directory.publish()
      return manifest
    } catch {
      directory.discard()
      throw error
    }
  }

  /// A sentence and the file that it is from.
  private struct Sentence {
    let file: String
    let words: ColumnText.Sentence
  }

  private func readTexts() throws -> [Split: [Sentence]] {
    func sentences(_ paths: [String]) throws -> [Sentence] {
      try paths.flatMap { path in
        let text = try ColumnText(path: path, columns: recipe.columns, willContinue: willContinue)
        if let warning = text.warning { warn(warning) }
        return text.sentences.map { Sentence(file: path, words: $0) }
      }
    }
    let train = try sentences(recipe.texts)
    var splits: [Split: [Sentence]] = [:]
    switch recipe.splitting {
    case .files(let valid, let test):
      splits = [.train: train, .valid: try sentences(valid), .test: try sentences(test)]
    case .fractions(let fractions):
      var rest = train[...]
      for (split, count) in zip(Split.allCases, fractions.tokenCounts(of: train.count)) {
        splits[split] = Array(rest.prefix(count))
        rest = rest.dropFirst(count)
      }
    }
    for split in recipe.splitting.splits(withTexts: true) {
      let count = splits[split]?.count ?? 0
      guard count >= recipe.shards else {
        throw Failure(
          .badData,
          "the \(split) split has \(count) sentence\(count == 1 ? "" : "s") for \(recipe.shards) shard"
            + (recipe.shards == 1 ? "" : "s"), at: recipe.texts[0],
          remedy: "give more text, fewer --shards, or other fractions with --split")
      }
    }
    return splits.filter { !$0.value.isEmpty }
  }

  private func write(_ splits: [Split: [Sentence]], into directory: StagedDirectory) throws -> CorpusManifest {
    let train = splits[.train] ?? []
    let vocabulary = try vocabulary(of: train)
    let labels = Set(train.flatMap(\.words.labels)).sorted { precedesInCodePointOrder($0.utf8, $1.utf8) }
    if labels.count > vocabulary.count {
      warn(
        "there are more labels (\(labels.count)) than words (\(vocabulary.count)); if the columns are the other way round, "
          + "give --columns FORM:LABEL")
    }
    let labelIDs = Dictionary(uniqueKeysWithValues: labels.enumerated().map { ($1, Int32($0)) })
    let wordIDs = Dictionary(uniqueKeysWithValues: vocabulary.tokens.enumerated().map { (Array($1.utf8), Int32($0)) })
    let writer = LabelledCorpusWriter(directory, vocabulary, labels: labels, shards: recipe.shards)
    for split in Split.allCases {
      guard let sentences = splits[split] else { continue }
      var encoded = LabelledSplit()
      for (index, sentence) in sentences.enumerated() {
        if index % 1024 == 0 { try willContinue() }
        encoded.append(
          tokens: sentence.words.forms.map { wordIDs[Array($0.utf8)] ?? vocabulary.unknown ?? 0 },
          labels: try sentence.words.labels.enumerated().map { index, label in
            guard let id = labelIDs[label] else {
              throw Failure(
                .badData, "the label '\(label)' does not occur in the train split",
                at: "\(sentence.file):\(sentence.words.lines[index])",
                remedy: "give a train split with all labels, or correct this one")
            }
            return id
          })
      }
      try writer.write(encoded, split)
    }
    return try writer.finish()
  }

  private func vocabulary(of sentences: [Sentence]) throws -> Vocabulary {
    var counter = WordCounter(limit: .max, distinctLimit: 1 << 26)
    for var form in sentences.lazy.flatMap(\.words.forms) {
      try form.withUTF8 { try counter.take(word: $0, hash: WordHash.of($0)) }
    }
    return try .words(counts: counter.table, limits: recipe.limits)
  }
}
