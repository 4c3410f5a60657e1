import Foundation
import Synchronization
import Testing

/// What the trials under one name came to.
final class Tally: Sendable {
  struct Finding: Sendable {
    let number: Int
    let description: String
  }

  let name: String
  private let counts = Mutex<[String: Int]>([:])
  private let found = Mutex<[Finding]>([])

  init(_ name: String) { self.name = name }

  /// Notes a trial that ended as it should.
  func count(_ outcome: String) { counts.withLock { $0[outcome, default: 0] += 1 } }

  /// Notes a trial that did not; the first few are printed at once.
  func find(_ number: Int, _ description: String) {
    let isAmongFirst = found.withLock { found in
      found.append(Finding(number: number, description: description))
      return found.count <= 20
    }
    if isAmongFirst {
      say("\(name)/\(number): \(description)\n  again: \(TestMode.command(repeating: name, number))")
    }
  }

  /// Prints at once: the long mode is watched while it runs.
  private func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

  /// Adds a row to the table of the long mode, and fails the test if anything was found.
  func finish(sourceLocation: SourceLocation = #_sourceLocation) {
    let counts = counts.withLock { $0 }
    let found = found.withLock { $0.sorted { $0.number < $1.number } }
    let trials = counts.values.reduce(found.count, +)
    guard trials > 0 else { return }
    let outcomes = counts.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" } + ["\(found.count) found"]
    let row =
      "\(name.padding(toLength: 24, withPad: " ", startingAt: 0)) \(trials) trials: "
      + outcomes.joined(separator: ", ") + " (seed \(TestMode.seed))"
    say(row)
    if let path = ProcessInfo.processInfo.environment["LOCKSTEP_SUMMARY"], let file = fopen(path, "a") {
      fputs(row + "\n", file)
      fclose(file)
    }
    let first = found.prefix(5).map {
      "\(name)/\($0.number): \($0.description); again: \(TestMode.command(repeating: name, $0.number))"
    }
    #expect(found.isEmpty, "\(first.joined(separator: "\n"))", sourceLocation: sourceLocation)
  }
}
