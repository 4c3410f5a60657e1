import Corpus
import Foundation
import TestSupport
import Testing

/// The streaming tokenizers against twins that hold the whole text in memory.
@Suite struct TwinTests {
  @Test(arguments: [1, 2, 3, 4, 5, 7, 8, 33, 1 << 20], Tokenizer.allCases)
  func streamedIDsEqualTheTwins(blockBytes: Int, tokenizer: Tokenizer) throws {
    for seed in 0..<4 as Range<UInt64> {
      let directory = try TemporaryDirectory()
      let texts = (0..<3 as Range<UInt64>).map { randomText(scalars: 150, seed: seed * 3 + $0) }
      let files = try texts.enumerated().map { try directory.file("\($0).txt", $1) }
      let reader = try directory.prepare(files, tokenizer: tokenizer, shards: 2, blockBytes: blockBytes, chunkBytes: 64)
      let twin = texts.flatMap { naiveTokens(of: $0, tokenizer) }
      let train = Array(twin.prefix(Int(0.9 * Double(twin.count))))
      let vocabulary = naiveVocabulary(of: tokenizer == .word ? train : twin, tokenizer)
      let ids = Dictionary(uniqueKeysWithValues: zip(vocabulary, Int32(0)...))
      #expect(reader.vocabulary.tokens.map { Data($0.utf8) } == vocabulary)
      #expect(try reader.allIDs() == twin.map { ids[$0] ?? 0 })
      #expect(reader.tokenCount(.train) == train.count)
    }
  }

  // Tokens as bytes: `String` would take canonically equivalent ones for the same.
  private func naiveTokens(of text: String, _ tokenizer: Tokenizer) -> [Data] {
    switch tokenizer {
    case .byte: return text.utf8.map { Data(name(ofByte: $0).utf8) }
    case .char: return text.unicodeScalars.map { Data(String($0).utf8) }
    case .word:
      // Universal newlines, by scalars: CR LF is one Character.
      var scalars: [Unicode.Scalar] = []
      for scalar in text.unicodeScalars {
        if scalar == "\n", scalars.last == "\r" { scalars.removeLast() }
        scalars.append(scalar)
      }
      var lines = scalars.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r" }
      if lines.last?.isEmpty == true { lines.removeLast() }
      return lines.flatMap { line in
        line.split(whereSeparator: \.properties.isWhitespace).map { word in
          Data(String(String.UnicodeScalarView(word)).utf8)
        } + [Data("<eos>".utf8)]
      }
    }
  }

  private func naiveVocabulary(of tokens: [Data], _ tokenizer: Tokenizer) -> [Data] {
    switch tokenizer {
    case .byte: return (0...255 as ClosedRange<UInt8>).map { Data(name(ofByte: $0).utf8) }
    case .char: return Set(tokens).sorted { $0.lexicographicallyPrecedes($1) }
    case .word:
      let special = ["<unk>", "<eos>"].map { Data($0.utf8) }
      let counts = tokens.reduce(into: [Data: Int]()) { $0[$1, default: 0] += 1 }.filter { !special.contains($0.key) }
      return special
        + counts.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key.lexicographicallyPrecedes($1.key) }
        .map(\.key)
    }
  }

  private func name(ofByte byte: UInt8) -> String { String(format: "<0x%02X>", byte) }
}
