import Failures
import Foundation

/// Standard input as a text: it can be read only once, so it is copied to a file first.
enum StandardInput {
  /// What stands for it on the command line.
  static let name = "-"

  /// Copies all of it.
  /// - Parameter didRead: told after each block how many bytes were read; may throw to stop.
  /// - Throws: ``Failure``: bad data where it can't be read, can't write where there is no room for it.
  static func copy(to path: String, didRead: (Int) throws -> Void) throws {
    let output = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard output >= 0 else { throw Failure.posix(.cannotWrite, "can't copy standard input", at: path) }
    defer { close(output) }
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      // A signal does not interrupt a read, and whoever writes may be slow.
      var waiting = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
      if poll(&waiting, 1, 200) <= 0 {
        try didRead(0)
        continue
      }
      let count = read(STDIN_FILENO, &buffer, buffer.count)
      if count < 0 {
        guard errno == EINTR || errno == EAGAIN else {
          throw Failure.posix(.badData, "can't be read", at: "standard input")
        }
        try didRead(0)
        continue
      }
      if count == 0 { return }
      var written = 0
      while written < count {
        let part = buffer.withUnsafeBytes { write(output, $0.baseAddress! + written, count - written) }
        if part < 0, errno == EINTR { continue }
        guard part > 0 else { throw Failure.posix(.cannotWrite, "can't copy standard input", at: path) }
        written += part
      }
      try didRead(count)
    }
  }
}
