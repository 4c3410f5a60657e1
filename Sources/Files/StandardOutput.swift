import Failures
import Foundation

/// The one writer of standard output: what a command was asked for.
package enum StandardOutput {
  /// Thrown where the reader of the pipe has gone, as `head` does: the command ends as by SIGPIPE, without a word.
  package struct ReaderGone: ReportableError {
    package var exitStatus: ExitStatus { .cannotWrite }
    package var description: String { failure(EPIPE).description }
  }

  /// Writes a line, or several.
  /// - Throws: ``ReaderGone``, or ``Failure`` (can't write).
  package static func print(_ text: String) throws { try write(Array("\(text)\n".utf8)) }

  /// - Throws: ``ReaderGone``, or ``Failure`` (can't write).
  package static func write(_ bytes: [UInt8]) throws {
    let error = bytes.withUnsafeBytes { writer.write($0) }
    if error == EPIPE { throw ReaderGone() }
    if error != 0 { throw failure(error) }
  }

  /// Asks for the errors of earlier writes, which network file systems keep back until a file is closed.
  /// - Throws: ``Failure`` (can't write).
  package static func finish() throws {
    guard !StandardStreams.wasClosed(STDOUT_FILENO) else { return }
    let copy = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else { return }
    if close(copy) != 0, errno != EINTR { throw failure(errno) }
  }

  private static let writer = DescriptorWriter(STDOUT_FILENO)

  private static func failure(_ error: Int32) -> Failure {
    let isClosed = StandardStreams.wasClosed(STDOUT_FILENO)
    return Failure(
      .cannotWrite, isClosed ? "is closed" : "can't be written", at: "standard output",
      cause: isClosed ? nil : String(cString: strerror(error)),
      remedy: isClosed ? "send it to a file or a pipe" : "make room, or send it elsewhere")
  }
}
