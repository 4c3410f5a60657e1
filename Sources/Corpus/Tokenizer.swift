/// How text becomes tokens.
///
/// | tokenizer | a token is | special tokens |
/// | --- | --- | --- |
/// | `char` | a Unicode scalar, line ends included | `<unk>`, only where a limit cut scalars off |
/// | `byte` | a byte of the file, as it is | none |
/// | `word` | a run between white space; each line end is `<eos>` | `<unk>` and `<eos>`, always |
package enum Tokenizer: String, Sendable, CaseIterable, Codable {
  case char, byte, word
}

/// The tokens that stand for something else than their own text, spelt as in the PTB and WikiText files.
package enum SpecialToken {
  /// Whatever the vocabulary does not hold.
  package static let unknown = "<unk>"
  /// A line end, in word vocabularies.
  package static let endOfSentence = "<eos>"
}
