import Crypto
import Failures
import Foundation
import HDF5

/// The first 512 bytes of a checkpoint, HDF5's user block: what the file is, and the SHA-256 of all that follows.
///
/// It is text, so that `head -n 5` shows it and `tail -c +513 FILE | sha256sum` repeats the check; the rest of the block is
/// zero. The last line guards the lines before it, so that a flipped bit in them is not mistaken for another version:
///
///     lockstep checkpoint
///     format_version 1
///     bytes 1234567
///     sha256 …64 hexadecimal digits…
///     header_sha256 …64 hexadecimal digits…
package struct CheckpointSeal: Equatable, Sendable {
  package static let formatName = "lockstep checkpoint"
  package static let currentVersion = 1
  /// Bytes of the block.
  static let size = 512

  package var formatVersion = currentVersion
  /// Bytes that follow the block.
  package var byteCount: Int
  /// The digest of those bytes, in lowercase hexadecimal digits.
  package var sha256: String
}

extension CheckpointSeal {
  /// The 512 bytes.
  var block: [UInt8] {
    let guarded = """
      \(Self.formatName)
      format_version \(formatVersion)
      bytes \(byteCount)
      sha256 \(sha256)

      """
    let text = guarded + "header_sha256 \(SHA256.hash(data: Data(guarded.utf8)).hexadecimal)\n"
    return Array(text.utf8) + Array(repeating: 0, count: Self.size - text.utf8.count)
  }

  /// Computes the seal of a finished file with an empty block.
  init(sealing file: borrowing PosixFile) throws {
    byteCount = try file.size() - Self.size
    sha256 = try Self.digest(of: file)
  }

  /// Reads and checks the block of a file, and that the file has the length that it states; not yet the digest.
  /// - Throws: `Failure` (bad data): missing, empty, foreign, truncated, damaged, or of a newer version.
  package init(of path: String) throws {
    let file = try PosixFile(path)
    let size = try file.size()
    let block = try file.read(Self.size, at: 0)
    guard !block.isEmpty else {
      throw Failure(.badData, "is empty, not a checkpoint", at: path, remedy: Self.remedy)
    }
    let magic = Array("\(Self.formatName)\n".utf8)
    guard block.starts(with: magic) else { throw try Self.foreign(file, block: block) }
    guard block.count == Self.size else {
      throw Failure(.badData, "truncated: only \(size) bytes are left", at: path, remedy: Self.remedy)
    }
    let lines = try Self.lines(of: block, path: path)
    guard let version = lines["format_version"].flatMap({ Int($0) }) else { throw Self.damagedHeader(path) }
    guard version <= Self.currentVersion else {
      throw Failure(
        .badData, "has format version \(version); this program reads up to \(Self.currentVersion)", at: path,
        remedy: "use the newer Lockstep that wrote it")
    }
    guard let byteCount = lines["bytes"].flatMap({ Int($0) }), let sha256 = lines["sha256"] else {
      throw Self.damagedHeader(path)
    }
    self.init(formatVersion: version, byteCount: byteCount, sha256: sha256)
    guard self.block == block else { throw Self.damagedHeader(path) }
    guard size - Self.size >= byteCount else {
      throw Failure(
        .badData, "truncated: \(size) of \(byteCount + Self.size) bytes are left", at: path, remedy: Self.remedy)
    }
    guard size - Self.size == byteCount else {
      throw Failure(
        .badData, "has \(size - Self.size - byteCount) bytes more than were written", at: path, remedy: Self.remedy)
    }
  }

  /// Reads the file and compares its digest with the stated one.
  /// - Throws: `Failure` (bad data) if they differ.
  package func verifyDigest(of path: String) throws {
    guard try Self.digest(of: PosixFile(path)) == sha256 else {
      throw Failure(
        .badData, "damaged: its content does not match its SHA-256", at: path, remedy: Self.remedy)
    }
  }

  /// Whether the file begins as a checkpoint does; says nothing about its health.
  package static func isPresent(in path: String) throws -> Bool {
    let magic = Array("\(formatName)\n".utf8)
    return try PosixFile(path).read(magic.count, at: 0) == magic
  }
}

extension CheckpointSeal {
  private static let remedy = "use another checkpoint of the run, or restore this one from a copy"

  private static func damagedHeader(_ path: String) -> Failure {
    Failure(.badData, "damaged: its first \(size) bytes don't match their own checksum", at: path, remedy: remedy)
  }

  /// The keys and values after the first line, if the last line vouches for them.
  private static func lines(of block: [UInt8], path: String) throws -> [Substring: String] {
    guard let text = String(validating: block.prefix { $0 != 0 }, as: UTF8.self),
      let last = text.range(of: "header_sha256 ")
    else { throw damagedHeader(path) }
    let guarded = text[..<last.lowerBound]
    guard text[last.upperBound...] == SHA256.hash(data: Data(guarded.utf8)).hexadecimal + "\n" else {
      throw damagedHeader(path)
    }
    var lines: [Substring: String] = [:]
    for line in guarded.split(separator: "\n").dropFirst() {
      let parts = line.split(separator: " ", maxSplits: 1)
      if parts.count == 2 { lines[parts[0]] = String(parts[1]) }
    }
    return lines
  }

  /// Why a file that does not begin as a checkpoint is refused.
  private static func foreign(_ file: borrowing PosixFile, block: [UInt8]) throws -> Failure {
    let signature = H5File.signature
    if block.starts(with: signature) {
      return Failure(
        .badData, "is an HDF5 file, but not a Lockstep checkpoint", at: file.path,
        remedy: "to start from its weights, name it as model.initial_parameters")
    }
    if try block.allSatisfy({ $0 == 0 }) && file.read(signature.count, at: size) == signature {
      return Failure(.badData, "is a checkpoint that was never finished", at: file.path, remedy: remedy)
    }
    return Failure(.badData, "is not a Lockstep checkpoint", at: file.path)
  }

  /// The SHA-256 of all that follows the block, a mebibyte at a time.
  private static func digest(of file: borrowing PosixFile) throws -> String {
    var hash = SHA256()
    var offset = size
    while true {
      let bytes = try file.read(1 << 20, at: offset)
      if bytes.isEmpty { return hash.finalize().hexadecimal }
      hash.update(data: bytes)
      offset += bytes.count
    }
  }
}

extension Digest {
  fileprivate var hexadecimal: String {
    map { byte in String(byte >> 4, radix: 16) + String(byte & 15, radix: 16) }.joined()
  }
}
