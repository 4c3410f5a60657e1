import Corpus
import Failures
import Foundation
import TestSupport
import Testing

extension TemporaryDirectory {
  /// Prepares `texts` with small blocks and chunks, so that small tests cross their boundaries.
  @discardableResult
  func prepare(
    _ texts: [String], splitting: CorpusRecipe.Splitting = .fractions(.standard), tokenizer: Tokenizer,
    size: Int? = nil, minimumCount: Int? = nil, shards: Int = 1, output: String = "corpus", force: Bool = false,
    blockBytes: Int = 7, chunkBytes: Int = 16, distinctWordLimit: Int = 1 << 26,
    didProgress: @escaping (PrepareProgress) throws -> Void = { _ in }
  ) throws -> CorpusReader {
    var recipe = try CorpusRecipe(
      texts: texts, splitting: splitting, tokenizer: tokenizer,
      limits: VocabularyLimits(size: size, minimumCount: minimumCount, for: tokenizer), shards: shards,
      output: "\(path)/\(output)", replacesOutput: force)
    recipe.blockBytes = blockBytes
    recipe.chunkBytes = chunkBytes
    recipe.distinctWordLimit = distinctWordLimit
    _ = try CorpusBuilder(recipe, didProgress: didProgress).run()
    return try CorpusReader(directory: "\(path)/\(output)")
  }
}

extension CorpusReader {
  func ids(_ split: Split) throws -> [Int32] {
    try ids(split, 0..<tokenCount(split))
  }

  func ids(_ split: Split, _ range: Range<Int>) throws -> [Int32] {
    var ids = [Int32](repeating: -7, count: range.count)
    try ids.withUnsafeMutableBufferPointer { try read(split, range, into: $0) }
    return ids
  }

  /// The whole token sequence, split after split.
  func allIDs() throws -> [Int32] { try Split.allCases.flatMap { try ids($0) } }
}

/// Text with scalars of every length, white space of every kind, canonical equivalents and line ends of both sorts.
func randomText(scalars count: Int, seed: UInt64) -> String {
  var generator = SeededGenerator(seed: seed)
  let pieces: [String] = [
    "a", "b", "c", "the", "Z", "1", " ", " ", "  ", "\n", "\r\n", "\r", "\t", "\u{B}", "\u{C}", "\u{1}", "\u{7F}", "é",
    "e\u{301}",
    "ß", "\u{85}", "\u{A0}", "漢", "字", "\u{2003}", "\u{2028}", "\u{3000}", "\u{1680}", "\u{200B}", "\u{FFFD}", "😀",
    "\u{10FFFF}", "\u{D7FF}", "\u{E000}", "<unk>", "<eos>",
  ]
  var text = ""
  for _ in 0..<count { text.unicodeScalars.append(contentsOf: pieces.randomElement(using: &generator)!.unicodeScalars) }
  return text
}
