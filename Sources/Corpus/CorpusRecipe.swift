import Failures

/// What a corpus is made from and how.
package struct CorpusRecipe: Sendable {
  /// Where the splits come from.
  package enum Splitting: Sendable, Equatable {
    /// The texts, put end to end, are cut into the three splits.
    case fractions(SplitFractions)
    /// The texts are the train split; the others have files of their own.
    case files(valid: [String], test: [String])

    /// - Throws: ``Failure`` (usage) where the options contradict one another or are not complete.
    package init(fractions: String?, valid: [String], test: [String]) throws {
      let hasFiles = !valid.isEmpty || !test.isEmpty
      if let fractions {
        guard !hasFiles else {
          throw Failure(
            .usage, "can't be combined with --valid and --test", at: "--split",
            remedy: "cut one text with --split, or give every split its files")
        }
        self = .fractions(try SplitFractions(parsing: fractions))
      } else if hasFiles {
        guard !valid.isEmpty, !test.isEmpty else {
          throw Failure(
            .usage, "needs \(valid.isEmpty ? "--valid" : "--test") as well", at: valid.isEmpty ? "--test" : "--valid",
            remedy: "give files for both, or use --split")
        }
        self = .files(valid: valid, test: test)
      } else {
        self = .fractions(.standard)
      }
    }
  }

  /// Files that a split may be cut into.
  static let mostShards = 99_999

  package let texts: [String]
  package let splitting: Splitting
  package let tokenizer: Tokenizer
  package let limits: VocabularyLimits
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

  /// - Throws: ``Failure`` (usage) for values that no text could go with.
  package init(
    texts: [String], splitting: Splitting, tokenizer: Tokenizer, limits: VocabularyLimits = .none, shards: Int = 1,
    output: String, replacesOutput: Bool = false
  ) throws {
    guard !texts.isEmpty else { throw Failure(.usage, "no text is given", remedy: "name at least one text file") }
    guard !output.isEmpty else { throw Failure(.usage, "the name is empty", at: "--output") }
    guard shards >= 1 else { throw Failure(.usage, "\(shards) is below 1", at: "--shards") }
    guard shards <= Self.mostShards else {
      throw Failure(.usage, "\(shards) is more than \(Self.mostShards)", at: "--shards")
    }
    self.texts = texts
    self.splitting = splitting
    self.tokenizer = tokenizer
    self.limits = limits
    self.shards = shards
    self.output = output
    self.replacesOutput = replacesOutput
  }
}
