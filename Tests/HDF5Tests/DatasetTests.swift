import HDF5
import TestSupport
import Testing

@Suite struct DatasetTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func roundTrip<Element: H5Element & Equatable>(_ values: [Element]) throws {
    let path = directory.file("\(Element.self).h5")
    let writer = try H5File.create(path)
    try writer.createDataset("values", values)
    try writer.close()
    let dataset = try H5File.open(path).openDataset("values")
    #expect(try dataset.read(as: Element.self) == values)
    #expect(try dataset.elementType() == Element.h5Type)
    #expect(try dataset.shape() == [values.count])
  }

  @Test func everyTypeSurvives() throws {
    try roundTrip([Float.pi, -0.0, .infinity, .leastNonzeroMagnitude])
    try roundTrip([Double.pi, -1e300])
    try roundTrip([UInt8.min, 1, .max])
    try roundTrip([UInt16.min, 1, .max])
    try roundTrip([UInt32.min, 1, .max])
    try roundTrip([UInt64.min, 1, .max])
    try roundTrip([Int32.min, -1, .max])
    try roundTrip([Int64.min, -1, .max])
    try roundTrip([Int.min, -1, .max])
  }

  @Test func readingConvertsTheType() throws {
    let file = try H5File.create(directory.file("convert.h5"))
    let bytes = try file.createDataset("bytes", [UInt8(0), 7, 255])
    #expect(try bytes.read(as: Int32.self) == [0, 7, 255])
    #expect(try bytes.read(as: Float.self) == [0, 7, 255])
    let halves = try file.createDataset("doubles", [0.5, -2])
    #expect(try halves.read(as: Float.self) == [0.5, -2])
  }

  @Test(arguments: [1, 7, 8, 33])
  func blocksComeBackFromWhereTheyWerePut(side: Int) throws {
    let file = try H5File.create(directory.file("blocks.h5"))
    let storage = H5Storage(chunk: [5, 5], shuffle: true, deflate: 6, fletcher32: true)
    let values = (0..<side * (side + 2)).map { Int32($0) }
    let dataset = try file.createDataset("grid", values, shape: [side, side + 2], storage: storage)
    let row = side / 2
    var block = [Int32](repeating: -1, count: side * (row + 1))
    try block.withUnsafeMutableBufferPointer {
      try dataset.read(
        at: [row, 1], shape: [side - row, row + 1], into: .init(rebasing: $0[..<((side - row) * (row + 1))]))
    }
    let expected = (row..<side).flatMap { r in (1...row + 1).map { Int32(r * (side + 2) + $0) } }
    #expect(Array(block[..<expected.count]) == expected)

    try [Int32(-5)].withUnsafeBufferPointer { try dataset.write($0, at: [side - 1, side + 1], shape: [1, 1]) }
    #expect(try dataset.read(as: Int32.self).last == -5)
  }

  @Test func emptyAndScalarShapesWork() throws {
    let file = try H5File.create(directory.file("empty.h5"))
    let storage = H5Storage(chunk: [4], deflate: 3, fletcher32: true)
    let empty = try file.createDataset("empty", [Float](), storage: storage)
    #expect(try empty.read(as: Float.self).isEmpty)
    #expect(try empty.shape() == [0])
    let scalar = try file.createDataset("scalar", [Int64(42)], shape: [])
    #expect(try scalar.read(as: Int64.self) == [42])
    #expect(try scalar.shape() == [])
    #expect(try file.createDataset("flat", [Float](), shape: [3, 0]).shape() == [3, 0])
    #expect(try file.createDataset("no texts", [String]()).readTexts().isEmpty)
  }

  @Test func textsSurvive() throws {
    let texts = [
      "", "plain", "naïve Ω 語 🜁", "a\u{0}b", "\u{0}", "line\nbreak", String(repeating: "long ", count: 9999),
    ]
    let path = directory.file("texts.h5")
    let file = try H5File.create(path)
    try file.createDataset("texts", texts)
    try file.createDataset("one", "Grüße")
    try file.close()
    let reader = try H5File.open(path)
    #expect(try reader.openDataset("texts").readTexts() == texts)
    #expect(try reader.openDataset("texts").holdsText())
    #expect(try reader.openDataset("texts").elementType() == nil)
    #expect(try reader.openDataset("one").readText() == "Grüße")
    #expect(try reader.openDataset("one").shape() == [])
  }

  @Test func manyThreadsReadAndWriteAtOnce() async throws {
    let path = directory.file("shared.h5")
    let writer = try H5File.create(path)
    try writer.createDataset("values", (0..<10_000).map { Int32($0) }, storage: .init(chunk: [128], deflate: 1))
    try writer.close()
    let shared = try H5File.open(path)
    let dataset = try shared.openDataset("values")
    let directory = directory
    try await withThrowingTaskGroup(of: Void.self) { group in
      for task in 0..<16 {
        group.addTask {
          for turn in 0..<20 {
            let start = (task * 613 + turn * 97) % 9000
            let block = try [Int32](unsafeUninitializedCapacity: 1000) { buffer, count in
              count = 1000
              try dataset.read(start..<start + 1000, into: UnsafeMutableBufferPointer(rebasing: buffer[..<1000]))
            }
            #expect(block == (start..<start + 1000).map { Int32($0) })
            #expect(throws: H5Error.self) { try shared.openDataset("no \(task)") }
          }
          let own = try H5File.create(directory.file("own-\(task).h5"))
          try own.createDataset("task", [task])
          try own.close()
          #expect(try H5File.open(directory.file("own-\(task).h5")).openDataset("task").read(as: Int.self) == [task])
        }
      }
      try await group.waitForAll()
    }
  }
}
