import Corpus
import TestSupport
import Testing

@Suite struct VocabularyTests {
  @Test func charEncodesAndDecodes() throws {
    let vocabulary = try Vocabulary(tokenizer: .char, tokens: ["\n", "a", "é", "e", "\u{301}", "😀"])
    let text = "aé😀\ne\u{301}"
    #expect(try vocabulary.encode(text) == [1, 2, 5, 0, 3, 4])
    #expect(try Array(vocabulary.decode(vocabulary.encode(text)).unicodeScalars) == Array(text.unicodeScalars))
    expectFailure(.usage, "'z' (U+7A)", "not in the vocabulary") { try vocabulary.encode("az") }
    let open = try Vocabulary(tokenizer: .char, tokens: ["<unk>", "a"])
    #expect(try open.encode("zaz") == [0, 1, 0])
    #expect(open.decode([0, 1]) == "<unk>a")
  }

  @Test func byteEncodesAndDecodes() throws {
    #expect(try Vocabulary.bytes.encode("aé") == [97, 0xC3, 0xA9])
    #expect(Vocabulary.bytes.decode([97, 0xC3, 0xA9]) == "aé")
    #expect(Vocabulary.bytes.decode([0xC3]) == "\u{FFFD}")
  }

  @Test func wordEncodesAndDecodes() throws {
    let vocabulary = try Vocabulary(tokenizer: .word, tokens: ["<unk>", "<eos>", "the", "cat"])
    // A prompt that stops within a line gets no <eos>.
    #expect(try vocabulary.encode("the dog\n the\u{A0}cat") == [2, 0, 1, 2, 3])
    #expect(vocabulary.decode([2, 0, 1, 1, 2, 3]) == "the <unk>\n\nthe cat")
    #expect(try vocabulary.encode("") == [])
  }

  @Test func storedNonsenseIsRefused() {
    expectFailure(.badData, "twice") { try Vocabulary(tokenizer: .char, tokens: ["a", "b", "a"]) }
    expectFailure(.badData, "not one scalar") { try Vocabulary(tokenizer: .char, tokens: ["a", "bc"]) }
    expectFailure(.badData, "twice") { try Vocabulary(tokenizer: .word, tokens: ["<unk>", "<eos>", "x", "x"]) }
    expectFailure(.badData, "lacks <unk> or <eos>") { try Vocabulary(tokenizer: .word, tokens: ["<unk>", "x"]) }
    expectFailure(.badData, "not 256") {
      try Vocabulary(tokenizer: .byte, tokens: Array(Vocabulary.bytes.tokens.prefix(255)))
    }
    expectFailure(.badData, "0 tokens") { try Vocabulary(tokenizer: .char, tokens: []) }
  }

  @Test func limitsAreChecked() {
    expectFailure(.usage, "--vocabulary-size", "too small", "at least 3") {
      try VocabularyLimits(size: 2, minimumCount: nil, for: .word)
    }
    expectFailure(.usage, "--vocabulary-size", "at least 2") {
      try VocabularyLimits(size: 1, minimumCount: nil, for: .char)
    }
    expectFailure(.usage, "--vocabulary-size", "do not fit") {
      try VocabularyLimits(size: 1 << 40, minimumCount: nil, for: .word)
    }
    expectFailure(.usage, "--min-count") { try VocabularyLimits(size: nil, minimumCount: 0, for: .word) }
    expectFailure(.usage, "--min-count", "byte") { try VocabularyLimits(size: nil, minimumCount: 2, for: .byte) }
    expectFailure(.usage, "--vocabulary-size", "byte") { try VocabularyLimits(size: 99, minimumCount: 2, for: .byte) }
  }
}
