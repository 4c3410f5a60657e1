/// An error that a person will read: it knows how the process must exit and describes itself in one message.
///
/// Every error type of the project conforms, so that the command, and a worker that tells the others why it gave up,
/// treat all of them alike.
package protocol ReportableError: Error, CustomStringConvertible, Sendable {
  var exitStatus: ExitStatus { get }
}

/// An error message in the house's form: what went wrong, where, why, and what to do about it.
///
/// `Failure(.badData, "checksum mismatch in rows 0..<65536", at: "corpus/train-00003.h5:/tokens",
/// remedy: "restore the file, or run 'lockstep prepare' again")` reads
/// `corpus/train-00003.h5:/tokens: checksum mismatch in rows 0..<65536; restore the file, or run 'lockstep prepare' again`.
package struct Failure: ReportableError, Equatable {
  package var exitStatus: ExitStatus
  /// What went wrong, without a full stop.
  package var what: String
  /// The file, dataset, configuration line or call that it happened at.
  package var place: String?
  /// The reason that a lower layer gave: a system error text, a library's message.
  package var cause: String?
  /// What the reader can do now.
  package var remedy: String?

  package init(
    _ exitStatus: ExitStatus, _ what: String, at place: String? = nil, cause: String? = nil, remedy: String? = nil
  ) {
    (self.exitStatus, self.what, self.place, self.cause) = (exitStatus, what, place, cause)
    self.remedy = remedy
  }

  package var description: String {
    var text = ""
    if let place { text += "\(place): " }
    text += what
    if let cause { text += ": \(cause)" }
    if let remedy { text += "; \(remedy)" }
    return text
  }
}
