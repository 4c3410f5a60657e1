import Crypto
import Failures
import Files
import Foundation

/// One input of `prepare`: a regular file that is read from its beginning as often as a pass asks.
final class TextFile {
  /// How messages name it.
  let name: String
  /// In bytes, when the file was first looked at.
  let size: Int
  private let path: String
  /// Of the bytes of the first pass.
  private var digest: SHA256.Digest?

  /// - Parameter name: how messages name the file, where that is not its path.
  /// - Throws: ``Failure`` (bad data) where the file is missing, is not a regular file, can't be read, or is compressed.
  init(path: String, name: String? = nil) throws {
    self.path = path
    self.name = name ?? path
    let descriptor = try Self.open(path)
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Self.systemFailure("can't look at the file", path) }
    switch status.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR: throw Failure(.badData, "is a directory", at: path, remedy: "name the text files in it")
    default:
      throw Failure(
        .badData, "is not a regular file", at: path,
        remedy: "a text is read more than once: write it to a file first, or give it to standard input, named '-'")
    }
    size = Int(status.st_size)
    try Self.refuseCompressed(descriptor, name: self.name)
  }

  /// Reads the file in blocks and hands each to `scan`, together with what the call before left unused.
  ///
  /// - Parameters:
  ///   - capacity: bytes of the buffer to begin with; it grows only while a single token does not fit.
  ///   - tokenLimit: bytes at which a token that does not end is given up.
  ///   - skipsByteOrderMark: leave out the bytes EF BB BF at the beginning of the file.
  ///   - didRead: told after each block how many bytes were read; may throw to stop.
  ///   - scan: gets a block and whether it is the last, returns how many bytes it used up.
  /// - Throws: ``Failure`` with path, line and byte offset, or what `scan` and `didRead` throw; also where the bytes are
  ///   not those of the pass before.
  func forEachBlock(
    capacity: Int, tokenLimit: Int, skipsByteOrderMark: Bool, didRead: (Int) throws -> Void,
    scan: (Bytes, _ isLast: Bool) throws -> Int
  ) throws {
    precondition(capacity > 0 && tokenLimit > 0)
    let descriptor = try Self.open(path)
    defer { close(descriptor) }
    var hash = SHA256()
    var buffer = [UInt8](repeating: 0, count: capacity)
    var filled = 0
    var offset = 0  // of the buffer's first byte in the file
    var mayHaveMark = skipsByteOrderMark
    var atEnd = false

    while !atEnd {
      if filled == buffer.count {
        guard buffer.count < tokenLimit else {
          throw Failure(
            .badData, "a word of \(tokenLimit) bytes or more begins at \(position(of: offset))", at: name,
            remedy: "use '--tokenizer char' or '--tokenizer byte' for text without white space")
        }
        buffer.append(contentsOf: repeatElement(0, count: min(buffer.count, tokenLimit - buffer.count)))
      }
      let count = try buffer.withUnsafeMutableBytes { bytes in
        let count = try Self.read(descriptor, bytes[filled...], path: name)
        hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: bytes[filled..<filled + count]))
        return count
      }
      filled += count
      atEnd = count == 0
      try didRead(count)

      var start = 0
      if mayHaveMark {
        if filled < 3, !atEnd { continue }
        mayHaveMark = false
        if filled >= 3, buffer[0] == 0xEF, buffer[1] == 0xBB, buffer[2] == 0xBF { start = 3 }
      }
      let used: Int
      do {
        used = try buffer.withUnsafeBufferPointer { try scan(Bytes(rebasing: $0[start..<filled]), atEnd) }
      } catch let fault as TextFault {
        throw failure(for: fault, at: offset + start + fault.offset)
      } catch var failure as Failure {
        failure.place = failure.place ?? name
        throw failure
      }
      let consumed = start + used
      buffer.withUnsafeMutableBufferPointer { bytes in
        guard let base = bytes.baseAddress, consumed > 0, consumed < filled else { return }
        base.update(from: base + consumed, count: filled - consumed)
      }
      filled -= consumed
      offset += consumed
    }
    let found = hash.finalize()
    guard digest ?? found == found else { throw changed }
    digest = found
  }

  /// What is thrown where a pass finds another text than the one before.
  private var changed: Failure {
    Failure(
      .badData, "the text changed while it was read", at: name,
      remedy: "run 'lockstep prepare' again when nothing writes to it")
  }

  // MARK: What is wrong, and where

  private func failure(for fault: TextFault, at offset: Int) -> Failure {
    switch fault.kind {
    case .invalidUTF8:
      Failure(
        .badData, "not valid UTF-8 at \(position(of: offset))", at: name,
        remedy: "convert the file to UTF-8, or use '--tokenizer byte'")
    case .zeroByte:
      Failure(
        .badData, "a zero byte at \(position(of: offset)), so this is not UTF-8 text", at: name,
        remedy: "convert the file to UTF-8 (it may be UTF-16), or use '--tokenizer byte'")
    }
  }

  /// `byte 17 (line 2)`: the offset from 0, the line from 1, as editors count it.
  private func position(of offset: Int) -> String {
    var line = 1
    var rest = offset
    if let file = try? PosixFile(path) {
      while rest > 0, let bytes = try? file.read(min(rest, 1 << 20), at: offset - rest), !bytes.isEmpty {
        line += bytes.reduce(0) { $0 + ($1 == 0x0A ? 1 : 0) }
        rest -= bytes.count
      }
    }
    return "byte \(offset) (line \(line))"
  }

  /// What compressed files begin with. The byte tokeniser would train on the compressed bytes.
  private static let compressed: [(name: String, beginning: [UInt8], command: String)] = [
    ("gzip", [0x1F, 0x8B], "gzip -dc"), ("bzip2", Array("BZh".utf8), "bzip2 -dc"),
    ("xz", [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00], "xz -dc"), ("Zstandard", [0x28, 0xB5, 0x2F, 0xFD], "zstd -dc"),
    ("zip", [0x50, 0x4B, 0x03, 0x04], "unzip -p"),
  ]

  private static func refuseCompressed(_ descriptor: Int32, name: String) throws {
    var bytes = [UInt8](repeating: 0, count: 16)
    let count = pread(descriptor, &bytes, bytes.count, 0)
    let beginning = bytes.prefix(max(count, 0))
    guard let kind = compressed.first(where: { beginning.starts(with: $0.beginning) }) else { return }
    // A text may begin with the letters BZh; a block of bzip2 then begins with the digits of π.
    guard kind.name != "bzip2" || beginning.dropFirst(4).starts(with: [0x31, 0x41, 0x59, 0x26, 0x53, 0x59]) else {
      return
    }
    throw Failure(
      .badData, "is compressed with \(kind.name), from byte 0 (line 1) on: not text", at: name,
      remedy: "decompress it first, as in '\(kind.command) FILE | lockstep prepare -'")
  }

  private static func open(_ path: String) throws -> Int32 {
    let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw systemFailure("can't open the file", path) }
    return descriptor
  }

  private static func read(
    _ descriptor: Int32, _ target: Slice<UnsafeMutableRawBufferPointer>, path: String
  ) throws -> Int {
    let target = UnsafeMutableRawBufferPointer(rebasing: target)
    while true {
      let count = Foundation.read(descriptor, target.baseAddress, target.count)
      if count >= 0 { return count }
      guard errno == EINTR else { throw systemFailure("can't read the file", path) }
    }
  }

  private static func systemFailure(_ what: String, _ path: String) -> Failure {
    Failure(.badData, what, at: path, cause: String(cString: strerror(errno)))
  }
}
