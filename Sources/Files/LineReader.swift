import Failures
import Foundation

/// Lines of UTF-8 text, from a file or standard input, as they come.
package final class LineReader {
  /// A line without its end, LF or CR LF, and its number from 1.
  package struct Line: Sendable, Equatable {
    package let number: Int
    package let text: String
  }

  /// As messages name the source.
  package let name: String
  private let descriptor: Int32
  private let willContinue: () throws -> Void
  private var buffer: [UInt8] = []
  private var start = 0
  /// Up to where the buffer holds no line end after ``start``.
  private var searched = 0
  private var number = 0
  /// The longest line, in bytes: what never ends is no text.
  private static let most = 1 << 26
  private var isAtEnd = false

  /// - Parameters:
  ///   - path: nil or `-`: standard input.
  ///   - willContinue: called before each read and while input is waited for; what it throws ends the reading.
  /// - Throws: ``Failure`` (bad data) if the file can't be opened.
  package init(path: String?, willContinue: @escaping () throws -> Void = {}) throws {
    self.willContinue = willContinue
    guard let path, path != "-" else {
      (name, descriptor) = ("standard input", dup(STDIN_FILENO))
      guard descriptor >= 0 else { throw Failure.posix(.badData, "can't be read", at: name) }
      return
    }
    (name, descriptor) = (path, open(path, O_RDONLY | O_CLOEXEC))
    guard descriptor >= 0 else { throw Failure.posix(.badData, "can't be opened", at: path) }
  }

  deinit { close(descriptor) }

  /// The next line; nil at the end. A last line needs no line end.
  ///
  /// - Throws: ``Failure`` (bad data) that names the line if it is not UTF-8, holds a zero byte or is
  ///   too long, or where reading fails.
  package func next() throws -> Line? {
    while true {
      if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        defer { (start, searched) = (end + 1, end + 1) }
        return try line(buffer[start..<end])
      }
      searched = buffer.count
      guard searched - start <= Self.most else {
        throw Failure(
          .badData, "is longer than \(Self.most >> 20) MiB", at: "\(name):\(number + 1)",
          remedy: "give a text with a sentence per line")
      }
      if isAtEnd {
        guard start < buffer.count else { return nil }
        defer { start = buffer.count }
        return try line(buffer[start...])
      }
      try fill()
    }
  }

  /// Whether a line can be had without waiting.
  package var hasLine: Bool { buffer[searched...].contains(UInt8(ascii: "\n")) }

  private func line(_ bytes: ArraySlice<UInt8>) throws -> Line {
    number += 1
    let bytes = bytes.last == UInt8(ascii: "\r") ? bytes.dropLast() : bytes
    guard !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self) else {
      throw Failure(
        .badData, "is not valid UTF-8 text", at: "\(name):\(number)",
        remedy: "convert the text, as with iconv -t UTF-8")
    }
    return Line(number: number, text: text)
  }

  private func fill() throws {
    buffer.removeFirst(start)
    (start, searched) = (0, searched - start)
    // A signal does not interrupt a read, and whoever writes may be slow.
    var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    repeat { try willContinue() } while poll(&waiting, 1, 200) <= 0
    var block = [UInt8](repeating: 0, count: 1 << 16)
    let count = read(descriptor, &block, block.count)
    if count < 0 {
      guard errno == EINTR || errno == EAGAIN else { throw Failure.posix(.badData, "can't be read", at: name) }
      return
    }
    isAtEnd = count == 0
    buffer += block[..<count]
  }
}
