import Foundation
import Testing
import Training

/// Where a resumed run cuts its metrics.
@Suite struct MetricsCutTests {
  private let bench: Workbench
  private var path: String { bench.file("metrics.jsonl") }

  init() throws { bench = try Workbench() }

  private func row(_ step: Int) -> String { "{\"step\":\(step),\"epoch\":1,\"loss\":2.5}\n" }

  private func write(_ text: String) throws { try text.write(toFile: path, atomically: true, encoding: .utf8) }

  private func cut(_ step: Int, stated: Int? = nil) throws -> MetricsCut? {
    try MetricsCut(in: bench.path, upTo: step, stated: stated)
  }

  @Test func theStatedPlaceIsTaken() throws {
    let (kept, tail) = ((1...5).map(row).joined(), (6...7).map(row).joined())
    try write(kept + tail)
    for stated in [kept.utf8.count, nil] {
      let found = try #require(try cut(5, stated: stated))
      #expect(found.end == kept.utf8.count && found.lastStep == 5 && found.hasTail)
    }
    #expect(try cut(9)?.hasTail == false)
    #expect(try cut(0, stated: 0)?.end == 0)
  }

  /// The file is not the one that the checkpoint was written beside.
  @Test func aPlaceThatDoesNotFitIsLookedForFromTheEnd() throws {
    let kept = (1...5).map(row).joined()
    try write(kept + (6...7).map(row).joined())
    for wrong in [0, 3, kept.utf8.count - 1, (row(1) + row(2)).utf8.count, kept.utf8.count + row(6).utf8.count, 9999] {
      #expect(try cut(5, stated: wrong)?.end == kept.utf8.count, "stated \(wrong)")
    }
  }

  @Test func tornAndForeignLinesAreNoRows() throws {
    let kept = (1...3).map(row).joined()
    for tail in ["{\"step\":4,\"epo", "a note\n", "\n\n", row(9) + "{\"st", ""] {
      try write(kept + tail)
      let found = try #require(try cut(3))
      #expect(found.end == kept.utf8.count && found.lastStep == 3, "\(tail)")
    }
    try write("{\"step\":1")
    #expect(try cut(3)?.end == 0)
    try write("")
    #expect(try cut(3) == cut(3, stated: 0))
    try FileManager.default.removeItem(atPath: path)
    #expect(try cut(3) == nil)
  }

  /// Longer lines than the blocks that are read.
  @Test func linesOfAnyLengthAreFound() throws {
    let long = "{\"step\":3,\"note\":\"\(String(repeating: "x", count: 200_000))\"}\n"
    try write(row(1) + row(2) + long + row(4))
    #expect(try cut(3)?.end == (row(1) + row(2) + long).utf8.count)
    #expect(try cut(2)?.end == (row(1) + row(2)).utf8.count)
  }

  @Test func halfAMillionRowsAreNotRead() throws {
    let rows = 500_000
    try write((1...rows).map(row).joined())
    let size = try #require(try cut(rows)?.end)
    let start = ContinuousClock.now
    for _ in 0..<20 {
      #expect(try cut(rows, stated: size)?.lastStep == rows)
      #expect(try cut(rows - 1000)?.lastStep == rows - 1000)
    }
    let time = ContinuousClock.now - start
    // Reading all of it takes seconds each time.
    #expect(time < .seconds(10), "\(time)")
  }

  @Test func whatCannotBeReadIsNotAbsent() throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    #expect(throws: (any Error).self) { try cut(3) }
  }
}
