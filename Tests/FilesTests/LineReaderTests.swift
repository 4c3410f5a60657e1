import Failures
import Files
import Foundation
import TestSupport
import Testing

@Suite struct LineReaderTests {
  private func lines(_ bytes: [UInt8]) throws -> [LineReader.Line] {
    let directory = try TemporaryDirectory()
    let path = directory.file("text")
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let reader = try LineReader(path: path)
    var lines: [LineReader.Line] = []
    while let line = try reader.next() { lines.append(line) }
    return lines
  }

  @Test func linesAreNumberedAndLoseTheirEnds() throws {
    #expect(try lines([]) == [])
    #expect(try lines(Array("one\r\n\ntwo".utf8)).map(\.text) == ["one", "", "two"])
    #expect(try lines(Array("one\ntwo\n".utf8)).map(\.number) == [1, 2])
    // Across the blocks in which the file is read.
    let long = String(repeating: "a", count: 100_000)
    #expect(try lines(Array("\(long)\n\(long)b".utf8)).map(\.text) == [long, "\(long)b"])
  }

  @Test func aLineThatIsNotTextIsNamed() throws {
    for bytes: [UInt8] in [[0x61, 0x0A, 0xFF, 0x0A], [0x61, 0x0A, 0x00]] {
      let failure = #expect(throws: Failure.self) { try lines(bytes) }
      #expect(failure?.exitStatus == .badData && failure?.place?.hasSuffix("text:2") == true)
    }
  }

  @Test func aLineWithoutEndIsRefused() throws {
    let reader = try LineReader(path: "/dev/zero")
    let failure = #expect(throws: Failure.self) { _ = try reader.next() }
    #expect(failure?.what.contains("longer than 64 MiB") == true && failure?.place == "/dev/zero:1")
  }

  @Test func aFileThatCanNotBeOpenedIsNamed() {
    let failure = #expect(throws: Failure.self) { try LineReader(path: "/no/such/file") }
    #expect(failure?.place == "/no/such/file")
  }
}
