import Corpus
import Inference
import Kernels
import Models
import Sharding
import Testing

@Suite struct GeneratorTests {
  private func makeDecoder(vocabularySize: Int) throws -> LanguageScorer {
    let architecture = LanguageArchitecture(
      .init(cell: .lstm, vocabularySize: vocabularySize, embeddingSize: 10, hiddenSize: 10, layers: 1))
    let weights = try PackedParameters(architecture.layout, .best, needsBackward: false)
    architecture.initialize(weights.store, .uniform(range: 0.8), seed: 1)
    weights.pack()
    return try LanguageScorer(architecture, weights, BatchPlan(window: 1, sequences: 1, shards: 1), rank: 0)
  }

  private func text(
    _ decoder: LanguageScorer, _ vocabulary: Vocabulary, prompt: String = "", length: Int, sampler: Sampler
  ) throws -> String {
    let generator = Generator(decoder, vocabulary: vocabulary, sampler: sampler)
    var bytes: [UInt8] = []
    try generator.generate(prompt: vocabulary.encode(prompt), length: length) { bytes += $0 }
    return String(decoding: bytes, as: UTF8.self)
  }

  private let letters = ["\n", "a", "b", "c", "d", "é", "漢"]

  @Test func theSameSeedWritesTheSameText() throws {
    let vocabulary = try Vocabulary(tokenizer: .char, tokens: letters)
    let decoder = try makeDecoder(vocabularySize: 7)
    let first = try text(decoder, vocabulary, prompt: "ab", length: 60, sampler: Sampler(seed: 3))
    #expect(first.unicodeScalars.count == 60)
    #expect(try text(decoder, vocabulary, prompt: "ab", length: 60, sampler: Sampler(seed: 3)) == first)
    #expect(try text(decoder, vocabulary, prompt: "ab", length: 60, sampler: Sampler(seed: 4)) != first)
  }

  @Test func greedyTextFollowsTheModel() throws {
    let vocabulary = try Vocabulary(tokenizer: .char, tokens: letters)
    let decoder = try makeDecoder(vocabularySize: 7)
    // The whole prompt counts, and so does what was written since.
    var (input, written) = (try vocabulary.encode("abcd"), [Int32]())
    for position in 0..<24 {
      let logits = try decoder.advance([input[position]])
      let next = Int32((0..<7).max { logits[0, $0] < logits[0, $1] } ?? 0)
      if position >= 3 { written.append(next) }
      if position >= 3 { input.append(next) }
    }
    let expected = vocabulary.decode(written)
    #expect(try text(decoder, vocabulary, prompt: "abcd", length: 21, sampler: Sampler(temperature: 0)) == expected)
  }

  @Test func anEmptyPromptStandsForALineFeed() throws {
    let vocabulary = try Vocabulary(tokenizer: .char, tokens: letters)
    let decoder = try makeDecoder(vocabularySize: 7)
    let sampler = try Sampler(seed: 2)
    #expect(
      try text(decoder, vocabulary, length: 30, sampler: sampler)
        == text(decoder, vocabulary, prompt: "\n", length: 30, sampler: sampler))
  }

  @Test func wordsAreSetApart() throws {
    let vocabulary = try Vocabulary(tokenizer: .word, tokens: ["<unk>", "<eos>", "one", "two", "three"])
    let decoder = try makeDecoder(vocabularySize: 5)
    let generated = try text(decoder, vocabulary, length: 200, sampler: Sampler(temperature: 1.5))
    #expect(generated.contains("\n") && generated.contains(" "))
    #expect(!generated.contains("  ") && !generated.contains("\n ") && !generated.contains(" \n"))
    #expect(!generated.hasPrefix(" "))
    let words = generated.split { $0 == " " || $0 == "\n" }
    #expect(Set(words).isSubset(of: ["<unk>", "one", "two", "three"]))
    #expect(words.count + generated.count(where: { $0 == "\n" }) == 200)
    // After a word of the prompt a space comes first, after a line end none.
    let after = try text(decoder, vocabulary, prompt: "one", length: 1, sampler: Sampler(temperature: 0))
    #expect(after.hasPrefix(" ") || after == "\n")
    let line = try text(decoder, vocabulary, prompt: "one\n", length: 1, sampler: Sampler(temperature: 0))
    #expect(!line.hasPrefix(" "))
  }

  @Test func whatIsEmittedMayStopIt() throws {
    struct Enough: Error {}
    let vocabulary = try Vocabulary(tokenizer: .char, tokens: letters)
    let generator = try Generator(
      makeDecoder(vocabularySize: 7), vocabulary: vocabulary, sampler: Sampler())
    var count = 0
    #expect(throws: Enough.self) {
      try generator.generate(prompt: [1], length: 100) { _ in
        count += 1
        if count == 5 { throw Enough() }
      }
    }
    #expect(count == 5)
  }
}
