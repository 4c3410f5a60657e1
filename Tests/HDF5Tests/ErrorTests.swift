import Failures
import Foundation
import HDF5
import TestSupport
import Testing

@Suite struct ErrorTests {
  let directory: TemporaryDirectory

  init() throws { directory = try TemporaryDirectory() }

  private func sample() throws -> String {
    let path = directory.file("sample.h5")
    let file = try H5File.create(path)
    try file.createDataset(
      "numbers", [Float](repeating: 1, count: 4096), storage: .init(chunk: [512], fletcher32: true))
    try file.createDataset("text", "words")
    try file.setAttribute("text", "words")
    try file.close()
    return path
  }

  @Test func aMissingFileIsNamed() throws {
    let path = directory.file("missing.h5")
    let error = try #require(throws: H5Error.self) { try H5File.open(path) }
    #expect(error.description == "\(path): H5Fopen failed: No such file or directory")
    #expect(error.exitStatus == .badData)
  }

  @Test func aForeignFileIsNotOpened() throws {
    let path = directory.file("foreign.h5")
    try Data("this is not HDF5 ".utf8).write(to: URL(fileURLWithPath: path))
    let error = try #require(throws: H5Error.self) { try H5File.open(path) }
    #expect(error.description.hasPrefix("\(path): H5Fopen failed: "))
    #expect(error.cause.contains("signature"))
  }

  @Test func aTruncatedFileIsNotOpened() throws {
    let path = try sample()
    let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    for length in [0, 1, 100, bytes.count / 2, bytes.count - 1] {
      try bytes.prefix(length).write(to: URL(fileURLWithPath: path))
      let error = try #require(throws: H5Error.self) { try H5File.open(path) }
      #expect(error.description.hasPrefix("\(path): H5Fopen failed: "))
      if length > 100 { #expect(error.cause.hasPrefix("truncated file")) }
    }
  }

  /// HDF5 1.10 copies beyond the header where a damaged one claims to hold the values itself.
  @Test func valuesThatAHeaderCannotHoldAreRefused() throws {
    let path = directory.file("sample.h5")
    let file = try H5File.create(path)
    try file.createDataset("numbers", [Float](repeating: 1, count: 100_000))
    try file.createDataset("texts", ["one", "two"])
    try file.close()
    let intact = try Data(contentsOf: URL(fileURLWithPath: path))
    var refusals: Set<String> = []
    // A layout message has 24 bytes. Of version 3, class 1 is contiguous; of version 1, in one dimension, all zero is compact
    // and empty.
    for message in intact.indices.dropLast(24) where intact[message] == 3 && intact[message + 1] == 1 {
      var bytes = intact
      bytes.replaceSubrange(message..<message + 24, with: [1, 1] + [UInt8](repeating: 0, count: 22))
      try bytes.write(to: URL(fileURLWithPath: path))
      do {
        let file = try H5File.open(path)
        var numbers = [Float](repeating: 0, count: 100_000)
        try numbers.withUnsafeMutableBufferPointer { try file.openDataset("numbers").read(into: $0) }
        _ = try file.openDataset("texts").readTexts()
      } catch let error as H5Error {
        if error.cause.contains("bytes are stored") { refusals.insert(error.description) }
      }
    }
    #expect(refusals.count == 2, "\(refusals)")
  }

  @Test func damagedLinksAreRefusedOrHarmless() throws {
    let path = directory.file("links.h5")
    let file = try H5File.create(path)
    let group = try file.createGroup("group")
    let names = ["first", "second", "third", "fourth"]
    for name in names { try group.createDataset(name, [Float](repeating: 1, count: 3)) }
    try file.close()
    let intact = try Data(contentsOf: URL(fileURLWithPath: path))
    var refusals = 0
    // Each link's message begins some 20 bytes before its name.
    for name in names {
      let place = try #require(intact.firstRange(of: Data(name.utf8)))
      for offset in place.lowerBound - 24..<place.upperBound {
        for value: UInt8 in [0, 0xFF, intact[offset] ^ 0x40] {
          var bytes = intact
          bytes[offset] = value
          try bytes.write(to: URL(fileURLWithPath: path))
          do {
            let file = try H5File.open(path)
            _ = try file.openGroup("group").links()
          } catch is H5Error {
            refusals += 1
          }
        }
      }
    }
    #expect(refusals > 50)
  }

  /// HDF5's own reader of the global heap crashes on some of these, and never returns from others.
  @Test func aDamagedGlobalHeapIsRefusedOrHarmless() throws {
    let path = directory.file("texts.h5")
    let file = try H5File.create(path, userBlockSize: 512)
    let texts = ["", "one", "zwölf", String(repeating: "long ", count: 1000)]
    try file.createDataset("texts", texts)
    try file.setAttribute("text", "words")
    // Read while it is being written, and afterwards.
    #expect(try file.attribute("text") == "words")
    try file.close()
    func read() throws {
      let file = try H5File.open(path)
      #expect(try file.openDataset("texts").readTexts().count == texts.count)
      let _: String = try file.attribute("text")
    }
    try read()
    #expect(try H5File.open(path).openDataset("texts").readTexts() == texts)
    let intact = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    func places(of pattern: String) -> [Int] {
      intact.indices.dropLast(4).filter { intact[$0..<$0 + 4].elementsEqual(Array(pattern.utf8)) }
    }
    let heaps = places(of: "GCOL")
    #expect(!heaps.isEmpty)
    var refused = 0
    for heap in heaps {
      // The address that references hold, where they hold it, and what is around it: length and index.
      let address = withUnsafeBytes(of: UInt64(heap - 512).littleEndian) { Array($0) }
      let references = intact.indices.dropLast(12).filter { intact[$0..<$0 + 8].elementsEqual(address) }
      for place in Array(heap..<heap + 96) + references.flatMap({ $0 - 4..<$0 + 12 }) {
        for value in [0x00, 0x01, 0x7F, 0xFF] as [UInt8] where intact[place] != value {
          var bytes = intact
          bytes[place] = value
          try Data(bytes).write(to: URL(fileURLWithPath: path))
          do { try read() } catch is H5Error { refused += 1 }
        }
      }
    }
    #expect(refused > 100)
  }

  @Test func aFlippedBitFailsTheChecksum() throws {
    let path = try sample()
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    let one = withUnsafeBytes(of: Float(1)) { Data($0) }
    let place = try #require(bytes.range(of: one + one + one)).lowerBound
    bytes[place] ^= 1
    try bytes.write(to: URL(fileURLWithPath: path))
    let dataset = try H5File.open(path).openDataset("numbers")
    let error = try #require(throws: H5Error.self) { try dataset.read(as: Float.self) }
    #expect(error.description.hasPrefix("\(path):/numbers: H5Dread failed: "))
    #expect(error.cause.contains("Fletcher32"))
  }

  @Test func whatIsNotThereOrOfAnotherKindIsNamed() throws {
    let path = try sample()
    let file = try H5File.open(path)
    func message(_ body: () throws -> Void) throws -> String {
      try #require(throws: H5Error.self, performing: body).description
    }
    #expect(
      try message { _ = try file.openDataset("none") } == "\(path):/none: H5Dopen2 failed: object 'none' doesn't exist")
    #expect(try message { _ = try file.openGroup("numbers") }.hasPrefix("\(path):/numbers: H5Gopen2 failed: "))
    #expect(try message { _ = try file.attribute("none") } == "\(path):/@none: there is no such attribute")
    #expect(try message { _ = try file.attribute("text", as: Int.self) } == "\(path):/@text: holds text, not numbers")
    let text = try file.openDataset("text")
    let numbers = try file.openDataset("numbers")
    #expect(try message { _ = try text.read(as: Float.self) } == "\(path):/text: holds text, not numbers")
    #expect(try message { _ = try numbers.readTexts() } == "\(path):/numbers: does not hold text")
    var two: [Float] = [0, 0]
    #expect(
      try message { try two.withUnsafeMutableBufferPointer { try numbers.read(into: $0) } }
        == "\(path):/numbers: has shape [4096], 4096 values, where 2 are expected")
    #expect(
      try message { try two.withUnsafeMutableBufferPointer { try numbers.read(4095..<4097, into: $0) } }
        == "\(path):/numbers: has shape [4096]; a block of [2] at [4095] is not in it")
    try file.close()
    #expect(try message { _ = try numbers.shape() } == "\(path):/numbers: used after it was closed")
    try file.close()
  }

  @Test func whatCannotBeWrittenSaysSo() throws {
    let inNothing = directory.file("no such directory/file.h5")
    let error = try #require(throws: H5Error.self) { try H5File.create(inNothing) }
    #expect(error.description == "\(inNothing): H5Fcreate failed: No such file or directory")
    #expect(error.exitStatus == .cannotWrite)
    let path = try sample()
    #expect(throws: H5Error.self) { try H5File.create(path) }
    #expect(try H5File.open(path).contains("numbers"))
    _ = try H5File.create(path, existing: .replace)
    #expect(try !H5File.open(path).contains("numbers"))
  }

  /// A dataset of which nothing was ever stored can claim any size.
  @Test func anAbsurdSizeIsRefusedNotAllocated() throws {
    let path = directory.file("absurd.h5")
    let file = try H5File.create(path)
    let storage = H5Storage(chunk: [1024, 1])
    _ = try file.createDataset("huge", .float32, shape: [1 << 50, 8], storage: storage)
    _ = try file.createDataset("impossible", .float32, shape: [1 << 50, 1 << 50], storage: storage)
    try file.close()
    let reader = try H5File.open(path)
    let huge = try #require(throws: H5Error.self) { try reader.openDataset("huge").read(as: Float.self) }
    #expect(huge.cause.hasPrefix("claims "))
    let impossible = try #require(throws: H5Error.self) { try reader.openDataset("impossible").shape() }
    #expect(impossible.cause.hasPrefix("has an impossible shape"))
  }

  @Test func theLibraryPrintsNothing() async throws {
    let directory = directory.path
    let result = await #expect(
      processExitsWith: .success, observing: [\.standardErrorContent, \.standardOutputContent]
    ) { [directory = directory as String] in
      _ = try? H5File.open("\(directory)/missing.h5")
      let file = try H5File.create("\(directory)/quiet.h5")
      _ = try? file.openDataset("none")
      _ = try? file.createDataset("a", [1])
      _ = try? file.createDataset("a", [1])
    }
    #expect(result?.standardErrorContent.isEmpty == true)
    #expect(result?.standardOutputContent.isEmpty == true)
  }

  /// A limit on the file size stands for a full disk: writes fail in the middle of a file.
  @Test func aFullDiskIsOneMessageAndNoNoiseAtExit() async throws {
    let path = directory.file("full.h5")
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      [path = path as String] in
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 100_000, rlim_max: 100_000)
      setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
      let error = try #require(throws: H5Error.self) {
        let file = try H5File.create(path)
        let storage = H5Storage(chunk: [1000])
        let dataset = try file.createDataset("values", .float32, shape: [100_000], storage: storage)
        for block in 0..<100 {
          try [Float](repeating: 0.5, count: 1000).withUnsafeBufferPointer {
            try dataset.write($0, at: [block * 1000], shape: [1000])
          }
        }
        try file.close()
      }
      #expect(error.path == path)
      #expect(error.cause == "File too large")
      #expect(error.exitStatus == .cannotWrite)
    }
    #expect(result?.standardErrorContent.isEmpty == true)
  }
}
