import Checkpoints
import Crypto
import Failures
import Foundation
import HDF5
import TestSupport
import Testing

@Suite struct RefusalTests {
  let directory: TemporaryDirectory
  let path: String
  let bytes: Data

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.file("sample.h5")
    try SampleCheckpoint.write(to: path)
    bytes = try Data(contentsOf: URL(fileURLWithPath: path))
  }

  /// The message about a file of these bytes, which both readers must refuse.
  private func refusal(_ bytes: Data) throws -> String {
    try bytes.write(to: URL(fileURLWithPath: path))
    let error = try #require(throws: Failure.self) { try CheckpointReader(path: path) }
    #expect(error.exitStatus == .badData)
    #expect(error.place == path)
    return error.what
  }

  @Test func aMissingFileOrADirectory() throws {
    let missing = directory.file("missing.h5")
    let error = try #require(throws: Failure.self) { try CheckpointReader(path: missing) }
    #expect(error.description == "\(missing): can't be opened: No such file or directory")
    #expect(error.exitStatus == .badData)
    let other = try #require(throws: Failure.self) { try CheckpointReader(path: directory.path) }
    #expect(other.what == "is a directory")
  }

  @Test func aForeignFile() throws {
    #expect(try refusal(Data()) == "is empty, not a checkpoint")
    #expect(try refusal(Data("{}".utf8)) == "is not a Lockstep checkpoint")
    #expect(try refusal(Data(repeating: 0, count: 4096)) == "is not a Lockstep checkpoint")
    try FileManager.default.removeItem(atPath: path)
    let file = try H5File.create(path)
    try file.createDataset("encoder.weight", [Float(1)])
    try file.close()
    #expect(
      try refusal(Data(contentsOf: URL(fileURLWithPath: path))) == "is an HDF5 file, but not a Lockstep checkpoint")
  }

  @Test func anUnfinishedFile() throws {
    #expect(try refusal(Data(repeating: 0, count: 512) + bytes[512...]) == "is a checkpoint that was never finished")
  }

  @Test func aTruncatedFile() throws {
    for length in [20, 100, 511] {
      #expect(try refusal(bytes.prefix(length)) == "truncated: only \(length) bytes are left")
    }
    for length in [512, 513, 4096, bytes.count / 2, bytes.count - 1] {
      #expect(try refusal(bytes.prefix(length)) == "truncated: \(length) of \(bytes.count) bytes are left")
    }
    #expect(try refusal(bytes + [0]) == "has 1 bytes more than were written")
  }

  @Test func aFlippedBitAnywhere() throws {
    for position in Array(stride(from: 0, to: 512, by: 7)) + Array(stride(from: 512, to: bytes.count, by: 4999))
      + [bytes.count - 1]
    {
      var damaged = bytes
      damaged[position] ^= UInt8(1) << UInt8(position % 8)
      let expected =
        switch position {
        case ..<20: "is not a Lockstep checkpoint"
        case ..<512: "damaged: its first 512 bytes don't match their own checksum"
        default: "damaged: its content does not match its SHA-256"
        }
      #expect(try refusal(damaged) == expected, "bit flipped in byte \(position)")
    }
  }

  @Test func aNewerVersion() throws {
    let guarded = "lockstep checkpoint\nformat_version 3\nsomething new\n"
    let digest = SHA256.hash(data: Data(guarded.utf8)).map { String(format: "%02x", $0) }.joined()
    var block = Data("\(guarded)header_sha256 \(digest)\n".utf8)
    block += Data(repeating: 0, count: 512 - block.count)
    #expect(try refusal(block + bytes[512...]) == "has format version 3; this program reads up to 2")
  }

  @Test func aSealedFileWithoutTheParts() throws {
    // The digest is right, but something else made the content.
    try FileManager.default.removeItem(atPath: path)
    let file = try H5File.create(path, userBlockSize: 512)
    try file.createGroup("parameters")
    try file.close()
    let content = try Data(contentsOf: URL(fileURLWithPath: path)).dropFirst(512)
    func hexadecimal(_ data: Data) -> String { SHA256.hash(data: data).map { String(format: "%02x", $0) }.joined() }
    let guarded =
      "lockstep checkpoint\nformat_version 1\nbytes \(content.count)\nsha256 \(hexadecimal(Data(content)))\n"
    var block = Data("\(guarded)header_sha256 \(hexadecimal(Data(guarded.utf8)))\n".utf8)
    block += Data(repeating: 0, count: 512 - block.count)
    try (block + content).write(to: URL(fileURLWithPath: path))
    let error = try #require(throws: H5Error.self) { try CheckpointReader(path: path) }
    #expect(error.description == "\(path):/training: H5Gopen2 failed: object 'training' doesn't exist")
  }
}
