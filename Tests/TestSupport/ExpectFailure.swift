import Failures
import Testing

/// Expects that `body` fails with a status and a message that holds each part.
package func expectFailure(
  _ status: Failures.ExitStatus, _ parts: String..., location: SourceLocation = #_sourceLocation,
  body: () throws -> some Any
) {
  do {
    _ = try body()
    Issue.record("no error was thrown", sourceLocation: location)
  } catch {
    #expect(ExitStatus(error) == status, "\(error)", sourceLocation: location)
    for part in parts { #expect("\(error)".contains(part), "\(error)", sourceLocation: location) }
  }
}
