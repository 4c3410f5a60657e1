import Corpus
import Crypto
import Failures
import Files
import Foundation
import HDF5
import TestSupport
import Testing

/// Corpora of format version 2 and later: what their seals and digests find, and that version 1 still opens.
@Suite struct SealedCorpusTests {
  private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Fixtures/version-1").path

  private func sample(_ directory: TemporaryDirectory, shards: Int = 2) throws -> CorpusReader {
    let text = try directory.file("a.txt", randomText(scalars: 400, seed: 11))
    return try directory.prepare([text], tokenizer: .char, shards: shards)
  }

  // MARK: The content digest

  @Test func theContentDigestIsWhatItsDefinitionSays() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", "abcab")
    let reader = try directory.prepare(
      [text], splitting: .files(valid: [text], test: [text]), tokenizer: .char, size: 3, minimumCount: 1)
    func sha256(_ bytes: [UInt8]) -> String { SHA256.hash(data: bytes).hexadecimal }
    func numbers(_ values: [UInt32]) -> [UInt8] {
      values.flatMap { value in (0..<4).map { UInt8(value >> ($0 * 8) & 255) } }
    }
    let vocabulary = sha256([1, 0, 0, 0, 0x61, 1, 0, 0, 0, 0x62, 1, 0, 0, 0, 0x63])
    let ids = sha256(numbers([0, 1, 2, 0, 1]))
    let lines = """
      lockstep corpus content
      tokenizer char
      vocabulary 3 none \(vocabulary)
      train 5 \(ids)
      valid 5 \(ids)
      test 5 \(ids)

      """
    #expect(try reader.contentDigest() == sha256(Array(lines.utf8)))
    #expect(try reader.trainCounts() == [2, 2, 1])
  }

  @Test func theContentDigestDependsOnTheContentAlone() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", "b a b a c b a\nc a b\nb a a c\n")
    let copy = try directory.file("copy.txt", "b a b a c b a\nc a b\nb a a c\n")
    let other = try directory.file("other.txt", "b a b a c b a\nc a b\nb a c a\n")
    func digest(_ text: String, _ tokenizer: Tokenizer, shards: Int = 1, split: String = "0.6,0.2,0.2") throws -> String
    {
      let splitting = try CorpusRecipe.Splitting(fractions: split, valid: [], test: [])
      return try directory.prepare(
        [text], splitting: splitting, tokenizer: tokenizer, shards: shards, output: UUID().uuidString
      ).contentDigest()
    }
    let digest0 = try digest(text, .word)
    #expect(digest0.count == 64)
    #expect(try digest(copy, .word, shards: 3) == digest0)
    // Another order of the same tokens, another border between splits, another tokeniser.
    #expect(try digest(other, .word) != digest0)
    #expect(try digest(text, .word, split: "0.5,0.3,0.2") != digest0)
    #expect(try digest(text, .char) != digest0)
    #expect(try digest(text, .char) != digest(text, .byte))
  }

  @Test func trainTokensAreCounted() throws {
    let directory = try TemporaryDirectory()
    let reader = try sample(directory, shards: 5)
    var counts = [Int](repeating: 0, count: reader.vocabulary.count)
    for id in try reader.ids(.train) { counts[Int(id)] += 1 }
    #expect(try reader.trainCounts() == counts)
  }

  @Test(arguments: [("corpus", Tokenizer.char), ("corpus-words", .word)])
  func aCorpusOfVersion1IsReadAsBefore(name: String, tokenizer: Tokenizer) throws {
    let directory = try TemporaryDirectory()
    let old = try CorpusReader(directory: "\(Self.fixtures)/\(name)")
    #expect(old.manifest.formatVersion == 1)
    try old.verify()
    let texts = ["train", "valid", "test"].map { "\(Self.fixtures)/\($0).txt" }
    let new = try directory.prepare(
      [texts[0]], splitting: .files(valid: [texts[1]], test: [texts[2]]), tokenizer: tokenizer, shards: 3)
    #expect(new.manifest.formatVersion == 2)
    #expect(old.vocabulary == new.vocabulary)
    #expect(try old.allIDs() == new.allIDs())
    #expect(try old.contentDigest() == new.contentDigest())
    #expect(try old.trainCounts() == new.trainCounts())
    #expect(old.manifest.splits.mapValues(\.unknownTokens) == new.manifest.splits.mapValues(\.unknownTokens))
    let summary = try CorpusSummary(directory: old.directory)
    #expect(summary.digestOK && summary.formatVersion == 1 && summary.contentDigest == nil)
    #expect(try ShardSummary(file: "\(old.directory)/train-00000.h5").digestOK == true)
  }

  // MARK: Damage

  @Test func aFlippedBitAnywhereInTheManifestIsRefusedBeforeItIsParsed() throws {
    let directory = try TemporaryDirectory()
    let reader = try sample(directory)
    let path = "\(reader.directory)/manifest.h5"
    let intact = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    for place in intact.indices where place < 700 || place % 37 == 0 {
      var bytes = intact
      bytes[place] ^= 1 << UInt8(place % 8)
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      let found = failure { try CorpusReader(directory: reader.directory) }
      // A sentence of the seal, never one of HDF5 or of the manifest's own checks.
      let sentences = [
        "not a Lockstep corpus manifest", "don't match their own checksum", "does not match its SHA-256",
      ]
      #expect(
        found?.status == .badData && sentences.contains { found?.message.contains($0) == true },
        "\(place): \(found?.message ?? "accepted")")
    }
  }

  @Test func aFlippedBitAnywhereInAShardIsFound() throws {
    let directory = try TemporaryDirectory()
    let reader = try sample(directory)
    let path = "\(reader.directory)/train-00001.h5"
    let intact = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    for place in intact.indices where place < 700 || place % 37 == 0 {
      var bytes = intact
      bytes[place] ^= 1 << UInt8(place % 8)
      try Data(bytes).write(to: URL(fileURLWithPath: path))
      let found = failure { try CorpusReader(directory: reader.directory).verify() }
      #expect(found?.status == .badData && found?.message.contains("train-00001.h5") == true, "\(place)")
      #expect(failure { try ShardSummary(file: path) }?.status == .badData, "\(place)")
    }
    try Data(intact).write(to: URL(fileURLWithPath: path))
    try CorpusReader(directory: reader.directory).verify()
  }

  @Test func anIntactShardOfAnotherCorpusIsRefused() throws {
    let directory = try TemporaryDirectory()
    let reader = try sample(directory)
    let text = try directory.file("b.txt", randomText(scalars: 400, seed: 12))
    let other = try directory.prepare([text], tokenizer: .char, shards: 2, output: "other")
    // Of the same size, so that only its digest tells.
    let path = "\(reader.directory)/train-00001.h5"
    let size = try #require(FileIdentity(of: path)).size
    let source = "\(other.directory)/train-00001.h5"
    try FileManager.default.removeItem(atPath: path)
    try FileManager.default.copyItem(atPath: source, toPath: path)
    let stranger = try #require(FileIdentity(of: path)).size
    if stranger == size {
      let again = try CorpusReader(directory: reader.directory)
      expectFailure(.badData, "is not the shard that the manifest names") { try again.verify() }
      expectFailure(.badData, "is not the shard that the manifest names") { try again.ids(.train) }
    } else {
      expectFailure(.badData, "where the manifest says \(size)") { try CorpusReader(directory: reader.directory) }
    }
    expectFailure(.badData, "is not the shard that the manifest beside it names") { try ShardSummary(file: path) }
  }

  // MARK: Versions

  @Test func aNewerVersionIsRefusedByItsNumber() throws {
    let directory = try TemporaryDirectory()
    let reader = try sample(directory)
    for (file, name) in [("train-00000.h5", "lockstep corpus shard"), ("manifest.h5", "lockstep corpus manifest")] {
      let path = "\(reader.directory)/\(file)"
      try Seal.write(to: path, as: SealedFormat(name: name, currentVersion: 3, noun: "", remedy: ""))
      expectFailure(.badData, "\(file): has format version 3; this program reads up to 2", "newer Lockstep") {
        try CorpusReader(directory: reader.directory).verify()
      }
    }
  }

  @Test func aFileThatLostItsSealIsNotOfVersion1() throws {
    let directory = try TemporaryDirectory()
    let reader = try sample(directory)
    for (file, name) in [("train-00000.h5", "alone.h5"), ("manifest.h5", "manifest.h5")] {
      let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(reader.directory)/\(file)"))
      try bytes.dropFirst(Seal.size).write(to: URL(fileURLWithPath: "\(directory.path)/\(name)"))
    }
    expectFailure(.badData, "has format version 2, but not the seal", "prepare") {
      try ShardSummary(file: "\(directory.path)/alone.h5")
    }
    expectFailure(.badData, "has format version 2, but not the seal") { try CorpusReader(directory: directory.path) }
  }
}
