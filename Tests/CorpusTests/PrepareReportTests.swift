import Corpus
import TestSupport
import Testing

@Suite struct PrepareReportTests {
  @Test func progressReachesTheEndOfEachStage() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", randomText(scalars: 300, seed: 4))
    var last: [PrepareProgress.Stage: PrepareProgress] = [:]
    try directory.prepare([text], tokenizer: .word) { last[$0.stage] = $0 }
    #expect(last.count == 3)
    #expect(last.values.allSatisfy { $0.bytesDone == $0.bytesTotal })
    let line = PrepareProgress(stage: .encoding, bytesDone: 30_000_000, bytesTotal: 120_000_000, elapsed: .seconds(2))
      .line
    #expect(line == "encoding   30 MB of 120 MB   25 %   15 MB/s")
  }

  @Test func theReportSaysWhatWasMade() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", "a b a c\n")
    let recipe = try CorpusRecipe(
      texts: [text], splitting: .files(valid: [text], test: [text]), tokenizer: .word,
      limits: VocabularyLimits(size: 3, minimumCount: nil, for: .word), shards: 2, output: "\(directory.path)/corpus/")
    let lines = try CorpusBuilder(recipe).run().text.split(separator: "\n")
    #expect(lines[0] == "train  5 tokens in 2 shards, 40.00 % <unk>, from \(text)")
    #expect(lines[2] == "test   5 tokens in 2 shards, 40.00 % <unk>, from \(text)")
    #expect(lines[3] == "vocabulary  3 tokens (word)")
    #expect(lines[4].hasPrefix("\(directory.path)/corpus written in ") && lines[4].hasSuffix(" s"))
  }
}
