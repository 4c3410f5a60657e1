import Corpus
import Failures
import TestSupport
import Testing

/// Corpora with a vocabulary from elsewhere, and corpora that lack a split.
@Suite struct VocabularyFromTests {
  private func build(
    _ directory: TemporaryDirectory, _ texts: [String], valid: [String] = [], test: [String] = [], split: String? = nil,
    _ vocabulary: Vocabulary, _ unknown: UnknownSymbols? = nil, output: String = "other"
  ) throws -> (reader: CorpusReader, report: String) {
    var recipe = try CorpusRecipe(
      texts: texts, splitting: .init(fractions: split, valid: valid, test: test), tokenizer: vocabulary.tokenizer,
      vocabulary: vocabulary, unknown: unknown, output: "\(directory.path)/\(output)")
    recipe.blockBytes = 5
    let report = try CorpusBuilder(recipe).run().text
    return (try CorpusReader(directory: "\(directory.path)/\(output)"), report)
  }

  @Test func wordsOfAnotherTextBecomeTheModelsIDs() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", "b a b a c b\n")
    let vocabulary = try directory.prepare(
      [text], splitting: .files(valid: [text], test: [text]), tokenizer: .word
    ).vocabulary
    #expect(vocabulary.tokens == ["<unk>", "<eos>", "b", "a", "c"])
    let other = try directory.file("b.txt", "c d a\nd d b\n")
    let (replaced, report) = try build(directory, [], test: [other], vocabulary)
    #expect(replaced.vocabulary == vocabulary)
    #expect(try replaced.ids(.test) == [4, 0, 3, 1, 0, 0, 2, 1])
    #expect(replaced.tokenCount(.train) == 0 && replaced.tokenCount(.valid) == 0)
    #expect(try replaced.trainCounts() == [0, 0, 0, 0, 0])
    #expect(
      report.contains("train  none\n") && report.contains("test   8 tokens in 1 shard, 37.50 % <unk>, from \(other)"))
    #expect(report.contains("not in the vocabulary  3 of 8 symbols, 37.50 %\n"), "\(report)")

    let (dropped, droppedReport) = try build(directory, [], test: [other], vocabulary, .drop, output: "dropped")
    #expect(try dropped.ids(.test) == [4, 3, 1, 2, 1])
    #expect(droppedReport.contains("3 of 8 symbols, 37.50 %, left out"), "\(droppedReport)")
    expectFailure(.badData, "b.txt: the word 'd' is not in the vocabulary", "--unknown drop") {
      try build(directory, [], test: [other], vocabulary, .error, output: "refused")
    }
    #expect(!directory.names.contains("refused"))
  }

  @Test func charactersWithoutUnkAreRefusedUnlessTheyAreDropped() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", "abcabc")
    let vocabulary = try directory.prepare(
      [text], splitting: .files(valid: [text], test: [text]), tokenizer: .char
    ).vocabulary
    let other = try directory.file("b.txt", "cébaäb")
    expectFailure(.badData, "b.txt: the character 'é' (U+E9) is not in the vocabulary") {
      try build(directory, [other], split: "1,0,0", vocabulary)
    }
    expectFailure(.usage, "--unknown: the vocabulary has no <unk>") {
      try build(directory, [other], split: "1,0,0", vocabulary, .replace)
    }
    let (dropped, _) = try build(directory, [other], split: "0.5,0,0.5", vocabulary, .drop)
    #expect(try dropped.ids(.train) == [2, 1])
    #expect(try dropped.ids(.test) == [0, 1])
    #expect(dropped.manifest.splits[.valid] == nil)
  }

  @Test func aSplitMayBeMissing() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", "some words and some more words")
    for (split, present) in [("1,0,0", [Split.train]), ("0.5,0.5,0", [.train, .valid]), ("0,0,1", [.test])] {
      let reader = try directory.prepare(
        [text], splitting: .init(fractions: split, valid: [], test: []), tokenizer: .char, output: split)
      #expect(Split.allCases.filter { reader.tokenCount($0) > 0 } == present)
      #expect(present.reduce(0) { $0 + reader.tokenCount($1) } == 30)
    }
    let reader = try directory.prepare(
      [text], splitting: .init(fractions: nil, valid: [text], test: []), tokenizer: .char, output: "valid")
    #expect(reader.tokenCount(.valid) == 30 && reader.tokenCount(.test) == 0)
    expectFailure(.usage, "no text of the train split is given", "--vocabulary-from") {
      try directory.prepare([], splitting: .init(fractions: nil, valid: [], test: [text]), tokenizer: .char)
    }
  }

  @Test func anUnkThatCannotBeLearntIsSaid() throws {
    let directory = try TemporaryDirectory()
    let (train, test) = (try directory.file("a.txt", "a b a b\n"), try directory.file("t.txt", "a c\n"))
    func report(_ minimumCount: Int?, _ name: String) throws -> String {
      try CorpusBuilder(
        CorpusRecipe(
          texts: [train], splitting: .files(valid: [train], test: [test]), tokenizer: .word,
          limits: .init(size: minimumCount == nil ? nil : 3, minimumCount: minimumCount, for: .word),
          output: "\(directory.path)/\(name)")
      ).run().text
    }
    #expect(
      try report(nil, "never").contains("warning: <unk> can't be learnt: the train split has none, the others have 1"))
    #expect(try !report(1, "often").contains("warning"))
  }

  @Test func vocabulariesThatDifferAreToldApartByTheFirstToken() throws {
    let directory = try TemporaryDirectory()
    let (a, b) = (try directory.file("a.txt", "abcdabcd"), try directory.file("b.txt", "abxdabxe"))
    let all = CorpusRecipe.Splitting.files(valid: [a], test: [a])
    let reader = try directory.prepare([a], splitting: all, tokenizer: .char)
    let model = try directory.prepare([b], splitting: all, tokenizer: .char, output: "b").vocabulary
    try reader.checkVocabulary(reader.vocabulary, ofModel: "run/latest")
    expectFailure(
      .badData, "run/latest: the model has another vocabulary than the corpus \(reader.directory)",
      "6 char tokens against the corpus's 4; the first that differs, 4, is \"e\" against none",
      "--vocabulary-from run/latest"
    ) { try reader.checkVocabulary(model, ofModel: "run/latest") }
    expectFailure(.badData, "256 byte tokens against the corpus's 4 char tokens") {
      try reader.checkVocabulary(.bytes, ofModel: "run/latest")
    }
  }
}
