import Corpus
import TestSupport
import Testing

/// What the tokenizers make of small texts, id by id.
@Suite struct TokenizerTests {
  @Test func charIDsAreInCodePointOrder() throws {
    let directory = try TemporaryDirectory()
    let reader = try directory.prepare([directory.file("a.txt", "baé\nb😀a\n")], splitting: halves(), tokenizer: .char)
    #expect(reader.vocabulary.tokens == ["\n", "a", "b", "é", "😀"])
    #expect(try reader.allIDs() == [2, 1, 3, 0, 2, 4, 1, 0])
    #expect(reader.vocabulary.unknown == nil)
  }

  @Test func charTellsCanonicalEquivalentsApart() throws {
    let directory = try TemporaryDirectory()
    let reader = try directory.prepare(
      [directory.file("a.txt", "\u{E9}e\u{301}\u{212B}\u{C5}\u{E9}\u{E9}")], splitting: halves(), tokenizer: .char)
    #expect(
      reader.vocabulary.tokens.map { Array($0.unicodeScalars.map(\.value)) } == [
        [0x65], [0xC5], [0xE9], [0x301], [0x212B],
      ])
    #expect(try reader.allIDs() == [2, 0, 3, 4, 1, 2, 2])
  }

  @Test func charKeepsCarriageReturns() throws {
    let directory = try TemporaryDirectory()
    let reader = try directory.prepare([directory.file("a.txt", "a\r\nb\r\nab")], splitting: halves(), tokenizer: .char)
    #expect(try reader.allIDs() == [2, 1, 0, 3, 1, 0, 2, 3])
  }

  @Test func charWithALimitKeepsTheMostFrequent() throws {
    let directory = try TemporaryDirectory()
    // a 4, b 3, d 2, c 2, e 1: four ids are <unk> and the first three; of c and d, as frequent, c comes first.
    let text = try directory.file("a.txt", "aaaabbbddcce")
    let reader = try directory.prepare([text], splitting: halves(), tokenizer: .char, size: 4)
    #expect(reader.vocabulary.tokens == ["<unk>", "a", "b", "c"])
    #expect(reader.vocabulary.unknown == 0)
    #expect(try reader.allIDs() == [1, 1, 1, 1, 2, 2, 2, 0, 0, 3, 3, 0])
    #expect(Split.allCases.reduce(0) { $0 + (reader.manifest.splits[$1]?.unknownTokens ?? 0) } == 3)

    // Five scalars fit five ids without <unk>.
    let whole = try directory.prepare([text], splitting: halves(), tokenizer: .char, size: 5, output: "whole")
    #expect(whole.vocabulary.tokens == ["a", "b", "c", "d", "e"])
    let frequent = try directory.prepare(
      [text], splitting: halves(), tokenizer: .char, minimumCount: 3, output: "frequent")
    #expect(frequent.vocabulary.tokens == ["<unk>", "a", "b"])
  }

  @Test func charTakesScalarsOfAllFiles() throws {
    let directory = try TemporaryDirectory()
    let reader = try directory.prepare(
      [directory.file("a.txt", "bb")],
      splitting: .files(valid: [directory.file("v.txt", "ac")], test: [directory.file("t.txt", "zb")]), tokenizer: .char
    )
    #expect(reader.vocabulary.tokens == ["a", "b", "c", "z"])
    #expect(try Split.allCases.map { try reader.ids($0) } == [[1, 1], [0, 2], [3, 1]])
  }

  @Test func bytesAreTakenAsTheyAre() throws {
    let directory = try TemporaryDirectory()
    let bytes: [UInt8] = [0xEF, 0xBB, 0xBF, 0, 255, 10, 13, 0xC3, 128, 65]
    let reader = try directory.prepare([directory.file("a.bin", bytes)], splitting: halves(), tokenizer: .byte)
    #expect(try reader.allIDs() == bytes.map(Int32.init))
    #expect(reader.vocabulary.count == 256)
    #expect(reader.vocabulary.tokens[10] == "<0x0A>" && reader.vocabulary.tokens[255] == "<0xFF>")
  }

  @Test func wordsAreOrderedByFrequencyInTheTrainText() throws {
    let directory = try TemporaryDirectory()
    let reader = try directory.prepare(
      [directory.file("a.txt", "b a b\n <unk> c\ta\n\n")],
      splitting: .files(valid: [directory.file("v.txt", "new b\nc")], test: [directory.file("t.txt", "a\r\na\r\n")]),
      tokenizer: .word)
    // a and b occur twice, c once; <unk> in the text is the token.
    #expect(reader.vocabulary.tokens == ["<unk>", "<eos>", "a", "b", "c"])
    #expect(try reader.ids(.train) == [3, 2, 3, 1, 0, 4, 2, 1, 1])
    // A last line without a line feed ends in <eos> too, and CR LF is one line end.
    #expect(try reader.ids(.valid) == [0, 3, 1, 4, 1])
    #expect(try reader.ids(.test) == [2, 1, 2, 1])
    #expect(reader.manifest.splits[.train]?.unknownTokens == 1)
    #expect(reader.manifest.splits[.valid]?.unknownTokens == 1)
  }

  @Test(arguments: [1, 2, 3, 4, 5, 1000]) func linesEndAsInPythonsUniversalNewlines(blockBytes: Int)
    throws
  {
    let directory = try TemporaryDirectory()
    func ids(_ text: String) throws -> [Int32] {
      let file = try directory.file("a.txt", text)
      return try directory.prepare(
        [file], splitting: .files(valid: [file], test: [file]), tokenizer: .word, force: true,
        blockBytes: blockBytes
      ).ids(.train)
    }
    let (eos, a) = (Int32(1), Int32(2))
    #expect(try ids("a\ra\ra\r") == [a, eos, a, eos, a, eos])
    #expect(try ids("a\r\na\r\n") == [a, eos, a, eos])
    #expect(try ids("a\r\r\na\n\ra") == [a, eos, eos, a, eos, eos, a, eos])
    #expect(try ids("a \r a") == [a, eos, a, eos])
    #expect(try ids("a\r\r") == [a, eos, eos])
  }

  @Test func wordsOutsideTheTrainPartAreUnknown() throws {
    let directory = try TemporaryDirectory()
    // 8 tokens, 4 of them train: "late" is only in the rest.
    let reader = try directory.prepare(
      [directory.file("a.txt", "x y x y x late y\n")], splitting: halves(), tokenizer: .word)
    #expect(reader.vocabulary.tokens == ["<unk>", "<eos>", "x", "y"])
    #expect(try reader.allIDs() == [2, 3, 2, 3, 2, 0, 3, 1])
  }

  @Test func wordLimitsCutTheRarestOff() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", "a a a b b c c d\na a a b\n")
    let splitting = CorpusRecipe.Splitting.files(valid: [text], test: [text])
    let five = try directory.prepare([text], splitting: splitting, tokenizer: .word, size: 4, output: "size")
    #expect(five.vocabulary.tokens == ["<unk>", "<eos>", "a", "b"])
    let often = try directory.prepare([text], splitting: splitting, tokenizer: .word, minimumCount: 2, output: "often")
    #expect(often.vocabulary.tokens == ["<unk>", "<eos>", "a", "b", "c"])
  }

  @Test(arguments: [1, 2, 3, 4, 1000]) func byteOrderMarksAreSkippedInEveryFile(blockBytes: Int) throws {
    let directory = try TemporaryDirectory()
    let first = try directory.file("a.txt", "\u{FEFF}ab")
    let second = try directory.file("b.txt", "\u{FEFF}ba\u{FEFF}a")
    for tokenizer in [Tokenizer.char, .word] {
      let reader = try directory.prepare(
        [first, second], splitting: .files(valid: [first], test: [second]), tokenizer: tokenizer,
        output: tokenizer.rawValue, blockBytes: blockBytes)
      // One inside the text is text.
      let expected = tokenizer == .char ? ["a", "b", "\u{FEFF}"] : ["<unk>", "<eos>", "ab", "ba\u{FEFF}a"]
      #expect(reader.vocabulary.tokens == expected)
    }
  }

  private func halves() throws -> CorpusRecipe.Splitting {
    .fractions(try SplitFractions(parsing: "0.5,0.25,0.25"))
  }
}
