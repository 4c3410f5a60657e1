import Crypto
import Failures
import Foundation

/// What a sealed file is: the first line of its seal, the versions that this program reads, and how it is named in errors.
package struct SealedFormat: Equatable, Sendable {
  /// The first line of the block, such as `lockstep checkpoint`.
  package let name: String
  /// The version that this program writes, and the highest that it reads.
  package let currentVersion: Int
  /// The kind of file, such as `checkpoint`.
  package let noun: String
  /// What to do about a damaged one.
  package let remedy: String
  /// What to do with a plain HDF5 file that was given instead; nil where there is nothing to say.
  package let remedyForPlainHDF5: String?
  /// What to do with a file that was changed on purpose; nil where there is nothing more to say than of a damaged one.
  package let remedyForChanged: String?

  package init(
    name: String, currentVersion: Int, noun: String, remedy: String, remedyForPlainHDF5: String? = nil,
    remedyForChanged: String? = nil
  ) {
    (self.name, self.currentVersion, self.noun, self.remedy) = (name, currentVersion, noun, remedy)
    (self.remedyForPlainHDF5, self.remedyForChanged) = (remedyForPlainHDF5, remedyForChanged)
  }
}

/// The first 512 bytes of a sealed file, HDF5's user block: what the file is, and the SHA-256 of all that follows.
///
/// It is text, so that `head -n 5` shows it and `tail -c +513 FILE | sha256sum` repeats the check; the rest of the block is
/// zero. Lines between the digest and the last one are notes of the writer's, for whoever must know them without reading the
/// file. The last line guards the lines before it, so that a flipped bit in them is not mistaken for another version:
///
///     lockstep checkpoint
///     format_version 1
///     bytes 1234567
///     sha256 …64 hexadecimal digits…
///     step 500
///     header_sha256 …64 hexadecimal digits…
package struct Seal: Equatable, Sendable {
  /// Bytes of the block.
  package static let size = 512
  /// The bytes that every HDF5 file begins with, after a user block if it has one.
  package static let hdf5Signature: [UInt8] = [0x89, 0x48, 0x44, 0x46, 0x0D, 0x0A, 0x1A, 0x0A]

  package let format: SealedFormat
  package let formatVersion: Int
  /// Bytes that follow the block.
  package let byteCount: Int
  /// The digest of those bytes, in lowercase hexadecimal digits.
  package let sha256: String
  /// What the writer noted, in its order.
  package let notes: [Note]

  /// A line of the writer's: a key, and a value without line breaks.
  package struct Note: Equatable, Sendable {
    package let key: String
    package let value: String

    package init(_ key: String, _ value: String) {
      (self.key, self.value) = (key, value)
    }
  }

  /// The value of a note.
  package subscript(key: String) -> String? { notes.first { $0.key == key }?.value }
}

extension Seal {
  /// Seals a finished file whose first block is still empty, and waits until all of it is on the disk.
  ///
  /// - Precondition: the notes fit into the block, some 250 bytes.
  /// - Throws: `Failure` (can't write).
  @discardableResult
  package static func write(to path: String, as format: SealedFormat, notes: [Note] = []) throws -> Seal {
    // The file was made a moment ago, by this process: a link in its place is not ours.
    let file = try PosixFile(path, O_RDWR | O_NOFOLLOW)
    let seal = Seal(
      format: format, formatVersion: format.currentVersion, byteCount: try file.size() - size,
      sha256: try file.sha256(from: size), notes: notes)
    try file.write(seal.block, at: 0)
    try file.synchronize()
    return seal
  }

  /// Reads and checks the block of a file, and that the file has the length that it states; not yet the digest.
  /// - Throws: `Failure` (bad data): missing, empty, foreign, truncated, damaged, or of a newer version.
  package init(of path: String, as format: SealedFormat) throws {
    try self.init(of: PosixFile(path), as: format)
  }

  /// As ``init(of:as:)-(String,_)``, of an open file: what is then read through it is what was checked.
  package init(of file: borrowing PosixFile, as format: SealedFormat) throws {
    let path = file.path
    let size = try file.size()
    let block = try file.read(Self.size, at: 0)
    guard !block.isEmpty else {
      throw Failure(.badData, "is empty, not a \(format.noun)", at: path, remedy: format.remedy)
    }
    guard block.starts(with: format.magic) else { throw try Self.foreign(file, block: block, format) }
    guard block.count == Self.size else {
      throw Failure(.badData, "truncated: only \(size) bytes are left", at: path, remedy: format.remedy)
    }
    let lines = try Self.lines(of: block, format, path: path)
    guard let version = lines["format_version"].flatMap({ Int($0) }), version >= 1 else {
      throw Self.damagedBlock(format, path)
    }
    guard version <= format.currentVersion else {
      throw Failure(
        .badData, "has format version \(version); this program reads up to \(format.currentVersion)", at: path,
        remedy: "use the newer Lockstep that wrote it")
    }
    guard let byteCount = lines["bytes"].flatMap({ Int($0) }), byteCount >= 0, let sha256 = lines["sha256"] else {
      throw Self.damagedBlock(format, path)
    }
    self.init(
      format: format, formatVersion: version, byteCount: byteCount, sha256: sha256,
      notes: lines.notes)
    guard self.block == block else { throw Self.damagedBlock(format, path) }
    if size - Self.size != byteCount, try file.isWholeHDF5(size: size) {
      throw Failure(
        .badData, "was changed since it was written, as h5repack or an editor of attributes does it", at: path,
        remedy: format.remedyForChanged ?? format.remedy)
    }
    guard size - Self.size >= byteCount else {
      throw Failure(
        .badData, "truncated: \(size) of \(byteCount + Self.size) bytes are left", at: path, remedy: format.remedy)
    }
    guard size - Self.size == byteCount else {
      throw Failure(
        .badData, "has \(size - Self.size - byteCount) bytes more than were written", at: path, remedy: format.remedy)
    }
  }

  /// Reads the file and compares its digest with the stated one.
  /// - Throws: `Failure` (bad data) if they differ.
  package func verifyDigest(of path: String) throws {
    try verifyDigest(of: PosixFile(path))
  }

  /// As ``verifyDigest(of:)-(String)``, of an open file.
  /// - Parameter didRead: called after each mebibyte; what it throws ends the reading.
  package func verifyDigest(of file: borrowing PosixFile, didRead: () throws -> Void = {}) throws {
    guard try file.sha256(from: Self.size, didRead: didRead) == sha256 else {
      throw Failure(
        .badData, "damaged: its content does not match its SHA-256", at: file.path, remedy: format.remedy)
    }
  }

  /// Whether the file begins as one of `format` does; says nothing about its health.
  package static func isPresent(in path: String, as format: SealedFormat) throws -> Bool {
    try PosixFile(path).read(format.magic.count, at: 0) == format.magic
  }

  /// Whether the block is all zero and HDF5 follows it: a file whose writer never came to seal it, or one of another program
  /// that leaves a user block empty.
  package static func isPending(in file: borrowing PosixFile) throws -> Bool {
    let beginning = try file.read(size + hdf5Signature.count, at: 0)
    return beginning.prefix(size).allSatisfy { $0 == 0 } && beginning.dropFirst(size).elementsEqual(hdf5Signature)
  }
}

extension SealedFormat {
  fileprivate var magic: [UInt8] { Array("\(name)\n".utf8) }
}

extension Seal {
  /// The 512 bytes.
  private var block: [UInt8] {
    let guarded = """
      \(format.name)
      format_version \(formatVersion)
      bytes \(byteCount)
      sha256 \(sha256)

      """ + notes.map { "\($0.key) \($0.value)\n" }.joined()
    let text = guarded + "header_sha256 \(SHA256.hash(data: Data(guarded.utf8)).hexadecimal)\n"
    precondition(text.utf8.count <= Self.size, "the notes of a seal fit into its block")
    return Array(text.utf8) + Array(repeating: 0, count: max(0, Self.size - text.utf8.count))
  }

  private static func damagedBlock(_ format: SealedFormat, _ path: String) -> Failure {
    Failure(
      .badData, "damaged: its first \(size) bytes don't match their own checksum", at: path, remedy: format.remedy)
  }

  /// The keys and values after the first line, if the last line vouches for them.
  private static func lines(
    of block: [UInt8], _ format: SealedFormat, path: String
  ) throws -> Lines {
    guard let text = String(validating: block.prefix { $0 != 0 }, as: UTF8.self),
      let last = text.range(of: "header_sha256 ")
    else { throw damagedBlock(format, path) }
    let guarded = text[..<last.lowerBound]
    guard text[last.upperBound...] == SHA256.hash(data: Data(guarded.utf8)).hexadecimal + "\n" else {
      throw damagedBlock(format, path)
    }
    return Lines(
      guarded.split(separator: "\n").dropFirst().compactMap { line in
        let parts = line.split(separator: " ", maxSplits: 1)
        return parts.count == 2 ? Note(String(parts[0]), String(parts[1])) : nil
      })
  }

  /// The lines between the first and the last.
  private struct Lines {
    private let all: [Note]

    init(_ all: [Note]) { self.all = all }

    subscript(key: String) -> String? { all.first { $0.key == key }?.value }
    var notes: [Note] { Array(all.drop { ["format_version", "bytes", "sha256"].contains($0.key) }) }
  }

  /// Why a file that does not begin as one of `format` is refused.
  private static func foreign(
    _ file: borrowing PosixFile, block: [UInt8], _ format: SealedFormat
  ) throws -> Failure {
    if block.starts(with: hdf5Signature) {
      return Failure(
        .badData, "is an HDF5 file, but not a Lockstep \(format.noun)", at: file.path,
        remedy: format.remedyForPlainHDF5)
    }
    // Another kind of sealed file says what it is; its checksum tells it from a damaged first line.
    if block.starts(with: Array("lockstep ".utf8)), (try? lines(of: block, format, path: file.path)) != nil {
      let kind = String(decoding: block.prefix { $0 != 0x0A }, as: UTF8.self)
      return Failure(
        .badData, "is a '\(kind)', not a Lockstep \(format.noun)", at: file.path, remedy: "name a \(format.noun)")
    }
    if try isPending(in: file) {
      return Failure(
        .badData, "is a \(format.noun) that was never finished", at: file.path, remedy: format.remedy)
    }
    return Failure(.badData, "is not a Lockstep \(format.noun)", at: file.path)
  }
}

extension PosixFile {
  /// The SHA-256 of all bytes from `offset` on, in lowercase hexadecimal digits.
  /// - Parameter didRead: called after each mebibyte; what it throws ends the reading.
  package func sha256(from offset: Int, didRead: () throws -> Void = {}) throws -> String {
    var hash = SHA256()
    var offset = offset
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    return try bytes.withUnsafeMutableBytes { buffer in
      while true {
        let count = try read(into: buffer, at: offset)
        if count == 0 { return hash.finalize().hexadecimal }
        hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        offset += count
        try didRead()
      }
    }
  }
}

extension PosixFile {
  /// Whether what follows the block is HDF5 that ends where its superblock says (HDF5 file format, II.A): a file that was cut
  /// is shorter.
  fileprivate func isWholeHDF5(size: Int) throws -> Bool {
    let superblock = try read(64, at: Seal.size)
    guard superblock.count == 64, superblock.starts(with: Seal.hdf5Signature) else { return false }
    // The base address, and two addresses later the end of the file; all of eight bytes, counted from the base.
    let place: Int
    switch superblock[8] {
    case 0 where superblock[13] == 8: place = 40
    case 1 where superblock[13] == 8: place = 44
    case 2 where superblock[9] == 8, 3 where superblock[9] == 8: place = 28
    default: return false
    }
    let end = superblock[place..<place + 8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return end == UInt64(size) || end == UInt64(size - Seal.size)
  }
}

extension Digest {
  /// Lowercase hexadecimal digits.
  package var hexadecimal: String {
    map { byte in String(byte >> 4, radix: 16) + String(byte & 15, radix: 16) }.joined()
  }
}
