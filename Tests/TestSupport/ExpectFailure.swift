import Failures
import Testing

/// The message and the exit status with which `body` fails; nil where it does not.
package func failure(of body: () throws -> some Any) -> (message: String, status: Failures.ExitStatus)? {
  do {
    _ = try body()
    return nil
  } catch {
    return ("\(error)", ExitStatus(error))
  }
}

/// Expects that `body` fails with a status and a message that holds each part.
package func expectFailure(
  _ status: Failures.ExitStatus, _ parts: String..., location: SourceLocation = #_sourceLocation,
  body: () throws -> some Any
) {
  guard let failure = failure(of: body) else {
    Issue.record("no error was thrown", sourceLocation: location)
    return
  }
  #expect(failure.status == status, "\(failure.message)", sourceLocation: location)
  for part in parts { #expect(failure.message.contains(part), "\(failure.message)", sourceLocation: location) }
}
