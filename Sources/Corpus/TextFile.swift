import Failures
import Foundation

/// One input of `prepare`: a regular file that is read from its beginning as often as a pass asks.
struct TextFile: Sendable {
  let path: String
  /// In bytes, when the file was first looked at.
  let size: Int

  /// - Throws: ``Failure`` (bad data) where the file is missing, is not a regular file, can't be read or is empty.
  init(path: String) throws {
    self.path = path
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
        remedy: "a text is read more than once, so write it to a file first")
    }
    size = Int(status.st_size)
    guard size > 0 else { throw Failure(.badData, "the file is empty", at: path, remedy: "leave it out") }
  }

  /// Reads the file in blocks and hands each to `scan`, together with what the call before left unused.
  ///
  /// - Parameters:
  ///   - capacity: bytes of the buffer to begin with; it grows only while a single token does not fit.
  ///   - tokenLimit: bytes at which a token that does not end is given up.
  ///   - skipsByteOrderMark: leave out the bytes EF BB BF at the beginning of the file.
  ///   - didRead: told after each block how many bytes were read; may throw to stop.
  ///   - scan: gets a block and whether it is the last, returns how many bytes it used up.
  /// - Throws: ``Failure`` with path and byte offset, or what `scan` and `didRead` throw.
  func forEachBlock(
    capacity: Int, tokenLimit: Int, skipsByteOrderMark: Bool, didRead: (Int) throws -> Void,
    scan: (Bytes, _ isLast: Bool) throws -> Int
  ) throws {
    precondition(capacity > 0 && tokenLimit > 0)
    let descriptor = try Self.open(path)
    defer { close(descriptor) }
    var buffer = [UInt8](repeating: 0, count: capacity)
    var filled = 0
    var offset = 0  // of the buffer's first byte in the file
    var mayHaveMark = skipsByteOrderMark
    var atEnd = false

    while !atEnd {
      if filled == buffer.count {
        guard buffer.count < tokenLimit else {
          throw Failure(
            .badData, "a word of \(tokenLimit) bytes or more begins at byte \(offset)", at: path,
            remedy: "use '--tokenizer char' or '--tokenizer byte' for text without white space")
        }
        buffer.append(contentsOf: repeatElement(0, count: min(buffer.count, tokenLimit - buffer.count)))
      }
      let count = try buffer.withUnsafeMutableBytes { try Self.read(descriptor, $0[filled...], path: path) }
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
      }
      let consumed = start + used
      buffer.withUnsafeMutableBufferPointer { bytes in
        guard let base = bytes.baseAddress, consumed > 0, consumed < filled else { return }
        base.update(from: base + consumed, count: filled - consumed)
      }
      filled -= consumed
      offset += consumed
    }
  }

  private func failure(for fault: TextFault, at offset: Int) -> Failure {
    switch fault.kind {
    case .invalidUTF8:
      Failure(
        .badData, "not valid UTF-8 at byte \(offset)", at: path,
        remedy: "convert the file to UTF-8, or use '--tokenizer byte'")
    case .zeroByte:
      Failure(
        .badData, "a zero byte at byte \(offset), so this is not UTF-8 text", at: path,
        remedy: "convert the file to UTF-8 (it may be UTF-16), or use '--tokenizer byte'")
    }
  }

  private static func open(_ path: String) throws -> Int32 {
    let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC)
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
