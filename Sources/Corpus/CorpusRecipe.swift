import Failures

/// What a corpus is made from and how.
package struct CorpusRecipe: Sendable {
  /// Where the splits come from.
  package enum Splitting: Sendable, Equatable {
    /// The texts, put end to end, are cut into the three splits.
    case fractions(SplitFractions)
    /// The texts are the train split; the others have files of their own.
    case files(valid: [String], test: [String])

    /// - Throws: ``Failure`` (usage) where the options contradict one another.
    package init(fractions: String?, valid: [String], test: [String]) throws {
      let hasFiles = !valid.isEmpty || !test.isEmpty
      if let fractions {
        guard !hasFiles else {
          throw Failure(
            .usage, "can't be combined with --valid and --test", at: "--split",
            remedy: "cut one text with --split, or give every split its files")
        }
        self = .fractions(try SplitFractions(parsing: fractions))
      } else {
        self = hasFiles ? .files(valid: valid, test: test) : .fractions(.standard)
      }
    }

    /// The splits that the corpus is to have.
    func splits(withTexts hasTexts: Bool) -> [Split] {
      let isWanted: [Bool] =
        switch self {
        case .fractions(let fractions): [fractions.train > 0, fractions.valid > 0, fractions.test > 0]
        case .files(let valid, let test): [hasTexts, !valid.isEmpty, !test.isEmpty]
        }
      return zip(Split.allCases, isWanted).filter(\.1).map(\.0)
    }
  }

  /// Files that a split may be cut into.
  static let mostShards = 99_999

  package let texts: [String]
  package let splitting: Splitting
  package let tokenizer: Tokenizer
  package let limits: VocabularyLimits
  /// A vocabulary from elsewhere; nil makes one from the texts.
  package let vocabulary: Vocabulary?
  let unknownTreatment: UnknownRule.Treatment
  /// Files of each split.
  package let shards: Int
  package let output: String
  package let replacesOutput: Bool

  /// Bytes read at a time. Tests make it small to cut tokens in every place.
  package var blockBytes = 1 << 20
  /// Stored bytes of an HDF5 chunk before compression.
  package var chunkBytes = 1 << 20
  /// At which number of different words a text is refused, to bound the memory: some 6 GB.
  package var distinctWordLimit = 1 << 26
  /// The memory that the words may take, in bytes; nil: no bound but the one above.
  package var memoryLimit: Int?

  /// - Parameters:
  ///   - texts: of the train split, or of all splits; with a vocabulary from elsewhere there may be none.
  ///   - tokenizer: that of `vocabulary`, where one is given.
  ///   - unknown: what happens to symbols that `vocabulary` lacks; nil replaces them where it has `<unk>`, and else
  ///     refuses them.
  /// - Throws: ``Failure`` (usage) for values that no text could go with.
  package init(
    texts: [String], splitting: Splitting, tokenizer: Tokenizer, limits: VocabularyLimits = .none,
    vocabulary: Vocabulary? = nil, unknown: UnknownSymbols? = nil, shards: Int = 1, output: String,
    replacesOutput: Bool = false
  ) throws {
    precondition(vocabulary.map { $0.tokenizer == tokenizer } ?? true, "a vocabulary of this tokenizer")
    if texts.isEmpty {
      guard case .files = splitting else {
        throw Failure(.usage, "no text is given", remedy: "name at least one text file")
      }
      guard vocabulary != nil else {
        throw Failure(
          .usage, "no text of the train split is given, from which the vocabulary is made",
          remedy: "name the texts before --valid and --test, or give --vocabulary-from")
      }
    }
    guard !output.isEmpty else { throw Failure(.usage, "the name is empty", at: "--output") }
    guard shards >= 1 else { throw Failure(.usage, "\(shards) is below 1", at: "--shards") }
    guard shards <= Self.mostShards else {
      throw Failure(.usage, "\(shards) is more than \(Self.mostShards)", at: "--shards")
    }
    (self.texts, self.splitting, self.tokenizer, self.limits) = (texts, splitting, tokenizer, limits)
    (self.vocabulary, self.shards, self.output) = (vocabulary, shards, output)
    self.replacesOutput = replacesOutput
    unknownTreatment =
      switch (unknown, vocabulary?.unknown) {
      case (.replace, let id?), (nil, let id?): .replace(id)
      case (.drop, _): .drop
      case (.error, _), (nil, nil): .refuse
      case (.replace, nil):
        throw Failure(
          .usage, "the vocabulary has no <unk> to replace symbols with", at: "--unknown",
          remedy: "give error or drop")
      }
  }
}
