import Corpus
import Failures
import Foundation
import TestSupport
import Testing

/// A corpus that changes while it is read.
@Suite struct ChangedShardTests {
  private struct Open {
    let directory: TemporaryDirectory
    let reader: CorpusReader
    let streams: TokenStreams
    let shard: String

    /// A reader that has read the first of many blocks.
    init() throws {
      directory = try TemporaryDirectory()
      let text = try directory.file("a.txt", randomText(scalars: 3000, seed: 21))
      reader = try directory.prepare([text], tokenizer: .char, shards: 2)
      streams = try TokenStreams(
        reader: reader, split: .train, streams: 2, local: 0..<2, window: 5, remainder: .dropped, blockTokens: 10)
      shard = "\(reader.directory)/train-00001.h5"
      _ = try Window(streams, 0)
    }

    /// Reads to the end of the epoch.
    func readOn() throws { for index in 1..<streams.windowCount { _ = try Window(streams, index) } }

    func replaceShard(by source: String) throws {
      try FileManager.default.copyItem(atPath: source, toPath: "\(shard).new")
      #expect(rename("\(shard).new", shard) == 0)
    }
  }

  @Test func oneThatStaysAsItWasIsRead() throws { try Open().readOn() }

  @Test func anotherCorpusInItsPlaceIsNoticed() throws {
    let open = try Open()
    let text = try open.directory.file("b.txt", randomText(scalars: 3000, seed: 22))
    _ = try open.directory.prepare([text], tokenizer: .char, shards: 2, force: true)
    expectFailure(.badData, "the shard changed while it was in use", "restore the corpus") { try open.readOn() }
  }

  @Test func aWriteToAShardIsNoticedThoughItsSizeIsKept() throws {
    let open = try Open()
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: open.shard))
    // In the unused end of the first block, where no checksum of HDF5's looks.
    try handle.seek(toOffset: 500)
    try handle.write(contentsOf: Data([7]))
    try handle.close()
    expectFailure(.badData, "train-00001.h5: the shard changed while it was in use") { try open.readOn() }
  }

  @Test func aVanishedShardIsNoticed() throws {
    let open = try Open()
    #expect(unlink(open.shard) == 0)
    expectFailure(.badData, "train-00001.h5") { try open.readOn() }
  }

  @Test func aCopyWithTheSameContentIsReadOn() throws {
    let open = try Open()
    try open.replaceShard(by: open.shard)
    try open.readOn()
  }

  @Test func verifyingFindsWhatChangedSinceTheCorpusWasOpened() throws {
    let open = try Open()
    let verification = ShardVerification(open.reader, shards: Array(open.reader.shardSizes.indices))
    #expect(verification.wait(atMost: nil) && verification.failure == nil)
    var bytes = try Data(contentsOf: URL(fileURLWithPath: open.shard))
    bytes[bytes.count - 1] ^= 1
    try bytes.write(to: URL(fileURLWithPath: open.shard))
    let again = ShardVerification(open.reader, shards: Array(open.reader.shardSizes.indices))
    #expect(again.wait(atMost: nil))
    let failure = try #require(again.failure as? Failure)
    #expect(failure.exitStatus == .badData && failure.place == open.shard)
  }

  @Test func theShardsOfARangeAreThoseThatHoldIt() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", String(repeating: "abcdefghij", count: 10))
    let reader = try directory.prepare(
      [text], splitting: .files(valid: [text], test: [text]), tokenizer: .byte, shards: 10)
    #expect(reader.shardSizes.count == 30)
    #expect(reader.shards(of: .train, holding: 0..<100) == 0..<10)
    #expect(reader.shards(of: .train, holding: 9..<11) == 0..<2)
    #expect(reader.shards(of: .valid, holding: 10..<20) == 11..<12)
    #expect(reader.shards(of: .test, holding: 99..<100) == 29..<30)
    #expect(reader.shards(of: .test, holding: 0..<0).isEmpty)
  }
}
