import Corpus
import Failures
import Foundation
import HDF5
import TestSupport
import Testing

@Suite struct CorpusReaderTests {
  @Test(arguments: [1, 2, 7, 8, 33]) func tokensDoNotDependOnTheShards(shards: Int) throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", randomText(scalars: 500, seed: 5))
    let whole = try directory.prepare([text], tokenizer: .char, output: "whole")
    let cut = try directory.prepare([text], tokenizer: .char, shards: shards, output: "cut")
    for split in Split.allCases { #expect(cut.manifest.shards(of: split).count == min(shards, 99_999)) }
    #expect(try cut.allIDs() == whole.allIDs())
    let all = try whole.ids(.train)
    for range in [0..<1, 3..<3, 1..<all.count, 100..<333, all.count - 1..<all.count] {
      #expect(try cut.ids(.train, range) == Array(all[range]))
    }
  }

  @Test(arguments: [(256, H5ElementType.uint8), (257, .uint16), (65_536, .uint16), (65_537, .uint32)])
  func theSmallestTypeThatFitsIsStored(size: Int, type: H5ElementType) throws {
    let directory = try TemporaryDirectory()
    // <unk>, <eos> and the rest as words.
    let text = try directory.file("a.txt", (0..<size - 2).map { "w\($0)" }.joined(separator: " "))
    let reader = try directory.prepare(
      [text], splitting: .files(valid: [text], test: [text]), tokenizer: .word, blockBytes: 4096, chunkBytes: 1 << 20)
    #expect(reader.vocabulary.count == size)
    let dataset = try H5File.open("\(reader.directory)/train-00000.h5").openDataset("tokens")
    #expect(try dataset.elementType() == type)
    #expect(try Set(reader.ids(.train)) == Set(1..<Int32(size)))
  }

  @Test func manyThreadsReadOneCorpus() async throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", randomText(scalars: 2000, seed: 6))
    let reader = try directory.prepare([text], tokenizer: .char, shards: 40)
    let all = try reader.ids(.train)
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for seed in 0..<4 as Range<UInt64> {
        group.addTask {
          var generator = SeededGenerator(seed: seed)
          return try (0..<50).allSatisfy { _ in
            let first = Int.random(in: 0..<all.count, using: &generator)
            let range = first..<Int.random(in: first...all.count, using: &generator)
            return try reader.ids(.train, range) == Array(all[range])
          }
        }
      }
      for try await isEqual in group { #expect(isEqual) }
    }
  }

  @Test func whatIsNotACorpusIsRefused() throws {
    let directory = try TemporaryDirectory()
    expectFailure(.badData, "nowhere: no such corpus directory", "lockstep prepare") {
      try CorpusReader(directory: "\(directory.path)/nowhere")
    }
    expectFailure(.badData, "there is no manifest.h5 in it") { try CorpusReader(directory: directory.path) }
    _ = try directory.file("manifest.h5", "hello")
    expectFailure(.badData, "manifest.h5") { try CorpusReader(directory: directory.path) }

    try writeManifest("\(directory.path)/manifest.h5", format: "lockstep checkpoint")
    expectFailure(.badData, "is a 'lockstep checkpoint', not a 'lockstep corpus'") {
      try CorpusReader(directory: directory.path)
    }
    try writeManifest("\(directory.path)/manifest.h5", version: 2)
    expectFailure(.badData, "has format version 2, but not the seal", "prepare") {
      try CorpusReader(directory: directory.path)
    }
    try writeManifest("\(directory.path)/manifest.h5", file: "../train-00000.h5")
    expectFailure(.badData, "/splits/train", "impossible file name") { try CorpusReader(directory: directory.path) }
    try writeManifest("\(directory.path)/manifest.h5", tokens: ["a", "bb"])
    expectFailure(.badData, "manifest.h5:/vocabulary", "'bb', which is not one scalar") {
      try CorpusReader(directory: directory.path)
    }
  }

  @Test func missingAndCutShardsAreRefused() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", randomText(scalars: 300, seed: 7))
    let reader = try directory.prepare([text], tokenizer: .byte, shards: 2)
    let shard = "\(reader.directory)/train-00001.h5"
    let content = try Data(contentsOf: URL(fileURLWithPath: shard))
    try content.dropLast(3).write(to: URL(fileURLWithPath: shard))
    expectFailure(
      .badData, "train-00001.h5: the shard has \(content.count - 3) bytes where the manifest says \(content.count)"
    ) { try CorpusReader(directory: reader.directory) }
    try FileManager.default.removeItem(atPath: shard)
    expectFailure(.badData, "train-00001.h5: the shard is missing", "restore the file") {
      try CorpusReader(directory: reader.directory)
    }
  }

  @Test func aFlippedBitIsFound() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", randomText(scalars: 30_000, seed: 8))
    let reader = try directory.prepare([text], tokenizer: .char, blockBytes: 4096, chunkBytes: 1 << 20)
    try reader.verify()
    #expect(try CorpusSummary(directory: reader.directory).digestOK)

    let shard = "\(reader.directory)/train-00000.h5"
    try flipBit(inTheMiddleOf: shard)
    let damaged = try CorpusReader(directory: reader.directory)
    expectFailure(.badData, "train-00000.h5:/tokens: checksum mismatch in rows 100..<200", "restore the file") {
      try damaged.ids(.train, 100..<200)
    }
    expectFailure(.badData, "train-00000.h5: damaged: its content does not match its SHA-256") { try damaged.verify() }
    let summary = try CorpusSummary(directory: reader.directory)
    #expect(!summary.digestOK)
    #expect(summary.splits.map { $0.shards.map(\.digestOK) } == [[false], [true], [true]])
    expectFailure(.badData, "damaged: its content does not match its SHA-256") { try ShardSummary(file: shard) }

    // Read ahead on another thread, the error comes out where the window is asked for, each time.
    let streams = try TokenStreams(
      reader: damaged, split: .train, streams: 4, local: 0..<4, window: 10, remainder: .kept)
    for _ in 0..<2 {
      expectFailure(.badData, "checksum mismatch") { try Window(streams, 0) }
    }
  }

  @Test func idsBeyondTheVocabularyAreRefused() throws {
    let directory = try TemporaryDirectory()
    let shard = try H5File.create("\(directory.path)/train-00000.h5")
    try shard.setAttribute("format", "lockstep corpus shard")
    try shard.setAttribute("format_version", 1)
    try shard.createDataset("tokens", [0, 1, 2, 1] as [UInt8])
    try shard.close()
    let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(directory.path)/train-00000.h5")).count
    try writeManifest("\(directory.path)/manifest.h5", tokens: ["a", "b"], count: 4, bytes: bytes)
    let reader = try CorpusReader(directory: directory.path)
    #expect(try reader.ids(.train, 0..<2) == [0, 1])
    expectFailure(.badData, "a token id in rows 1..<3 is not in the vocabulary of 2") { try reader.ids(.train, 1..<3) }
    expectFailure(.badData, "the corpus has no test split") { try reader.source(.test) }
    #expect(reader.tokenCount(.test) == 0)

    try writeManifest("\(directory.path)/manifest.h5", tokens: ["a", "b", "c"], count: 5, bytes: bytes)
    let longer = try CorpusReader(directory: directory.path)
    expectFailure(.badData, "has shape [4] where the manifest says [5]") { try longer.ids(.train, 0..<2) }
  }

  @Test func aShardWithImpossibleNumbersIsRefused() throws {
    let directory = try TemporaryDirectory()
    // Of version 1, whose files any program can write.
    for (first, shape, message) in [
      (Int.max, [4], "can't begin at token 9223372036854775807"),
      (-1, [4], "can't begin at token -1"),
      (0, [2, 2], "can't begin at token 0 of a split and have shape [2, 2]"),
    ] {
      let shard = try H5File.create("\(directory.path)/shard.h5", existing: .replace)
      try shard.setAttribute("format", "lockstep corpus shard")
      try shard.setAttribute("format_version", 1)
      try shard.setAttribute("split", "train")
      try shard.setAttribute("shard", 0)
      try shard.setAttribute("first_token", first)
      try shard.setAttribute("tokenizer", "char")
      try shard.setAttribute("vocabulary_size", 3)
      try shard.createDataset("tokens", [0, 1, 2, 1] as [UInt8], shape: shape)
      try shard.close()
      expectFailure(.badData, "shard.h5:/tokens: \(message)") {
        try ShardSummary(file: "\(directory.path)/shard.h5")
      }
    }
  }

  @Test func summariesSayWhatIsThere() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", "a b a b a b c\nb b d\n")
    let reader = try directory.prepare(
      [text], splitting: .files(valid: [text], test: [text]), tokenizer: .word, size: 4, shards: 2)
    let summary = try CorpusSummary(directory: reader.directory)
    #expect(summary.kind == "corpus" && summary.formatVersion == 2 && summary.digestOK)
    #expect(summary.tokenizer == .word && summary.vocabularySize == 4)
    #expect(summary.splits.map(\.name) == ["train", "valid", "test"])
    #expect(summary.splits.map(\.tokens) == [12, 12, 12])
    #expect(summary.splits.map(\.unknownTokens) == [2, 2, 2])
    #expect(summary.splits[0].shards.map(\.tokens) == [6, 6])
    let json = String(decoding: try JSONEncoder().encode(summary), as: UTF8.self)
    for key in ["kind", "format_version", "digest_ok", "vocabulary_size", "unknown_tokens", "sha256"] {
      #expect(json.contains("\"\(key)\":"))
    }

    let shard = try ShardSummary(file: "\(reader.directory)/valid-00001.h5")
    #expect(shard.kind == "shard" && shard.digestOK == true && shard.split == "valid")
    #expect(shard.shard == 1 && shard.firstToken == 6 && shard.tokens == 6 && shard.elementType == "uint8")
    try FileManager.default.copyItem(atPath: "\(reader.directory)/valid-00001.h5", toPath: "\(directory.path)/alone.h5")
    let alone = try ShardSummary(file: "\(directory.path)/alone.h5")
    #expect(alone.digestOK == true && !alone.isListed && shard.isListed)
    expectFailure(.badData, "is a 'lockstep corpus manifest', not a Lockstep corpus shard") {
      try ShardSummary(file: "\(reader.directory)/manifest.h5")
    }
  }

  private func flipBit(inTheMiddleOf path: String) throws {
    var content = try Data(contentsOf: URL(fileURLWithPath: path))
    content[content.count / 2] ^= 4
    try content.write(to: URL(fileURLWithPath: path))
  }

  /// A manifest written by hand, with one shard: what the format says, or something else.
  private func writeManifest(
    _ path: String, format: String = "lockstep corpus", version: Int = 1, tokens: [String] = ["a"], count: Int = 2,
    file name: String = "train-00000.h5", bytes: Int = 1
  ) throws {
    let file = try H5File.create(path, existing: .replace)
    try file.setAttribute("format", format)
    try file.setAttribute("format_version", version)
    try file.setAttribute("creator", "somebody")
    try file.setAttribute("created", "2020-01-01T00:00:00Z")
    try file.setAttribute("tokenizer", "char")
    try file.createDataset("vocabulary", tokens)
    let train = try file.createGroup("splits").createGroup("train")
    try train.setAttribute("unknown_tokens", 0)
    try train.createDataset("file", [name])
    try train.createDataset("tokens", [UInt64(count)])
    try train.createDataset("bytes", [UInt64(bytes)])
    try train.createDataset("sha256", [String(repeating: "0", count: 64)])
    try file.close()
  }
}
