import Corpus
import Failures
import Foundation
import Interfaces
import TestSupport
import Testing

@Suite struct LabelledCorpusTests {
  /// Readers open their shards late, so it lives as long as a test does.
  private let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func build(
    _ train: String, valid: String? = nil, columns: String? = nil, shards: Int = 1, minimumCount: Int? = nil,
    fractions: String? = nil, output: String = "corpus"
  ) throws -> CorpusReader {
    let paths = try [directory.file("train.tsv", train)]
    let others = try valid.map { [try directory.file("valid.tsv", $0)] } ?? []
    let recipe = try LabelledRecipe(
      texts: paths, splitting: .init(fractions: fractions ?? (valid == nil ? "1,0,0" : nil), valid: others, test: []),
      columns: columns, limits: VocabularyLimits(size: nil, minimumCount: minimumCount, for: .word), shards: shards,
      output: "\(directory.path)/\(output)")
    _ = try LabelledCorpusBuilder(recipe).run()
    return try CorpusReader(directory: "\(directory.path)/\(output)", for: .tagging)
  }

  /// Words and labels of a split, sentence by sentence.
  private func sentences(_ reader: CorpusReader, _ split: Split = .train) throws -> [[String]] {
    let sequences = try reader.labelledSplit(split)
    return (0..<sequences.count).map { index in
      sequences.range(of: index).map {
        "\(reader.vocabulary.tokens[Int(sequences.tokens[$0])])/\(reader.labels[Int(sequences.labels[$0])])"
      }
    }
  }

  @Test func firstAndLastColumnAreWordAndLabel() throws {
    let text = "The\tx\tDET\ncat\ty\tNOUN\n\n# a comment\nsleeps\tz\tVERB\n.\t.\tPUNCT\n"
    let reader = try build(text)
    #expect(try sentences(reader) == [["The/DET", "cat/NOUN"], ["sleeps/VERB", "./PUNCT"]])
    #expect(reader.labels == ["DET", "NOUN", "PUNCT", "VERB"])
    #expect(reader.tokenCount(.train) == 4 && reader.sequenceCount(.train) == 2)
  }

  @Test(arguments: [
    // Blanks, a mark, CR LF, several empty lines, no last line end.
    "\u{FEFF}#hash tag\r\nThe  DET\r\n cat\tNOUN\r\n\r\n \r\n\r\nsleeps VERB",
    "The DET\n cat\tNOUN\n\nsleeps VERB\n\n",
  ])
  func spacingIsForgiven(text: String) throws {
    #expect(try sentences(build(text)) == [["The/DET", " cat/NOUN"], ["sleeps/VERB"]])
  }

  @Test func aLineWithATabIsNoComment() throws {
    #expect(try sentences(build("#win\tO\n# Team\tB\n# no words\n")) == [["#win/O", "# Team/B"]])
  }

  @Test func columnsOfCoNLLUAreNamed() throws {
    let text = """
      # text = vámonos
      1-2\tvámonos\t_\t_
      1\tvamos\tir\tVERB
      2\tnos\tnosotros\tPRON
      2.1\tnadie\tnadie\tX
      """
    #expect(try sentences(build(text, columns: "2:4")) == [["vamos/VERB", "nos/PRON"]])
  }

  @Test func rareAndUnseenWordsAreUnknown() throws {
    let reader = try build("a\tX\na\tX\nb\tY\n", valid: "a\tX\n\nc\tY\n", minimumCount: 2)
    #expect(try sentences(reader) == [["a/X", "a/X", "<unk>/Y"]])
    #expect(try sentences(reader, .valid) == [["a/X"], ["<unk>/Y"]])
    #expect(reader.manifest.splits[.valid]?.unknownTokens == 1)
  }

  @Test(arguments: [1, 2, 3, 7]) func shardsChangeNothing(shards: Int) throws {
    let text = (0..<7).map { sentence in
      (0...sentence).map { "w\($0)\tL\($0 % 3)\n" }.joined()
    }.joined(separator: "\n")
    let whole = try build(text)
    let cut = try build(text, shards: shards, output: "cut")
    #expect(cut.manifest.shards(of: .train).count == shards)
    #expect(try sentences(cut) == sentences(whole))
    #expect(try cut.contentDigest() == whole.contentDigest())
    let other = try build(text.replacing("w3\tL0", with: "w3\tL1"), output: "other")
    #expect(try other.contentDigest() != whole.contentDigest())
  }

  @Test func aTextIsCutBetweenSentences() throws {
    let text = (0..<10).map { "word\($0)\tA\n" }.joined(separator: "\n")
    let reader = try build(text, fractions: "0.6,0.2,0.2")
    #expect(Split.allCases.map(reader.sequenceCount) == [6, 2, 2])
  }

  @Test(arguments: [
    ("a\tX\nb\n", nil as String?, nil as String?, "train.tsv:2", "has 1 column, and column 2 is needed"),
    ("a\tX\n\tX\n", nil, nil, "train.tsv:2", "has nothing in column 1"),
    ("a\tX\n", nil, "1:3", "train.tsv:1", "has 2 columns, and column 3 is needed"),
    ("a\tX\n", "b\tX\n\na\tZ\n", nil, "valid.tsv:3", "the label 'Z' does not occur in the train split"),
    ("", nil, nil, "train.tsv", "the train split has 0 sentences"),
    ("a\t\u{0}\n", nil, nil, "train.tsv:1", "is not valid UTF-8 text"),
  ])
  func badInputIsNamedByLine(train: String, valid: String?, columns: String?, place: String, what: String) throws {
    expectFailure(.badData, place, what) { try build(train, valid: valid, columns: columns) }
    #expect(!directory.names.contains("corpus") && !directory.names.contains { $0.contains("partial") })
  }

  @Test(arguments: [
    ("a b X\n# # Y\n\n# # Z\n# a comment\nc d X\n", "train.tsv:2: this line is taken for a comment" as String?),
    ("a b X\n# # Y\n# + Z\n", "train.tsv:2: this line, and 1 more like it, is taken"),
    ("1\ta\tX\n2\tb\tX\n\n1\ta\tY\n", "train.tsv: each sentence begins with the word '1'"),
    ("X\ta\nX\tb\nX\tc\nX\td\nX\te\n", "there are more labels (5) than words ("),
    ("a X\n# a comment\nb X\n", nil),
  ])
  func whatIsLikelyAMistakeIsSaid(text: String, warning: String?) throws {
    var warnings: [String] = []
    let recipe = try LabelledRecipe(
      texts: [try directory.file("train.tsv", text)], splitting: .init(fractions: "1,0,0", valid: [], test: []),
      output: "\(directory.path)/corpus")
    _ = try LabelledCorpusBuilder(recipe, warn: { warnings.append($0) }).run()
    #expect(warnings.count == (warning == nil ? 0 : 1), "\(warnings)")
    if let warning { #expect(warnings.first?.contains(warning) == true, "\(warnings)") }
  }

  @Test func whatStopsItLeavesNothing() throws {
    struct Stopped: Error {}
    var calls = 0
    let recipe = try LabelledRecipe(
      texts: [try directory.file("train.tsv", "a\tX\n\nb\tY\n")],
      splitting: .init(fractions: "1,0,0", valid: [], test: []),
      output: "\(directory.path)/corpus")
    #expect(throws: Stopped.self) {
      try LabelledCorpusBuilder(
        recipe,
        willContinue: {
          calls += 1
          if calls == 2 { throw Stopped() }
        }
      ).run()
    }
    #expect(directory.names == ["train.tsv"])
  }

  @Test(arguments: ["0:1", "1:1", "2", "a:b", "1:2:3", ""]) func badColumnsAreAUsageError(columns: String) throws {
    expectFailure(.usage, "--columns") { try build("a\tX\n", columns: columns) }
  }

  @Test func invalidUTF8IsRefused() throws {
    let path = try directory.file("train.tsv", Array("a\tX\n".utf8) + [0xC3, 0x28, 0x09, 0x58, 0x0A])
    expectFailure(.badData, "train.tsv:2", "UTF-8") {
      try LabelledCorpusBuilder(
        LabelledRecipe(texts: [path], splitting: .fractions(.standard), output: "\(directory.path)/corpus")
      ).run()
    }
  }

  @Test func anotherTaskIsNamed() throws {
    _ = try build("a\tX\n")
    expectFailure(.badData, "is a corpus for tagging, not for language_model") {
      try CorpusReader(directory: "\(directory.path)/corpus")
    }
    let text = try directory.file("text.txt", "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabc")
    try directory.prepare([text], tokenizer: .char, output: "text")
    expectFailure(.badData, "is a corpus for language_model, not for tagging") {
      try CorpusReader(directory: "\(directory.path)/text", for: .tagging)
    }
  }

  @Test func aDamagedShardIsNotParsed() throws {
    let reader = try build("a\tX\nb\tY\n")
    let path = "\(directory.path)/corpus/train-00000.h5"
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes[bytes.count / 2] ^= 4
    try bytes.write(to: URL(fileURLWithPath: path))
    expectFailure(.badData, "train-00000.h5", "does not match its SHA-256") { try reader.labelledSplit(.train) }
  }
}

@Suite struct SequenceBatchesTests {
  private let lengths = (0..<103).map { 1 + $0 * 7 % 23 }

  @Test func anEpochHasEachSequenceOnceInBatchesOfLikeLengths() {
    let order = BatchOrder(lengths: lengths, size: 8, seed: 3, epoch: 0)
    #expect(order.batches.flatMap { $0 }.sorted() == Array(0..<103))
    #expect(order.batches.count == 13 && order.batches.filter { $0.count == 8 }.count == 12)
    for batch in order.batches {
      let own = batch.map { lengths[$0] }
      #expect((own.max() ?? 0) - (own.min() ?? 0) <= 3)
    }
  }

  @Test func seedAndEpochDecide() {
    func batches(_ seed: UInt64, _ epoch: Int?) -> [[Int]] {
      BatchOrder(lengths: lengths, size: 8, seed: seed, epoch: epoch).batches
    }
    #expect(batches(3, 1) == batches(3, 1))
    #expect(Set([batches(3, 0), batches(3, 1), batches(4, 0), batches(1 << 40 | 3, 0), batches(3, nil)]).count == 5)
    #expect(batches(3, nil) == batches(4, nil))
  }

  @Test func poolsAreSortedByThemselves() {
    let many = (0..<1000).map { _ in 5 }
    let order = BatchOrder(lengths: many, size: 2, seed: 1, epoch: 0)
    #expect(order.batches.count == 500 && order.batches.flatMap { $0 }.sorted() == Array(0..<1000))
  }
}
