import Corpus
import Failures
import Files
import Foundation
import Synchronization
import Testing

/// How a directory comes under its name, and what becomes of those that never did.
@Suite struct StagedDirectoryTests {
  private static let marker = "manifest.h5"

  /// A staged directory with one file that says what it is.
  private func stage(
    _ scratch: Scratch, _ content: String, replaces: Bool = true, exchanges: Bool = true
  ) throws -> StagedDirectory {
    let directory = try StagedDirectory(
      for: "\(scratch.path)/corpus", replaces: replaces, marker: Self.marker, exchanges: exchanges)
    try content.write(toFile: "\(directory.path)/\(Self.marker)", atomically: false, encoding: .utf8)
    return directory
  }

  private func content(_ scratch: Scratch) -> String? {
    try? String(contentsOfFile: "\(scratch.path)/corpus/\(Self.marker)", encoding: .utf8)
  }

  @Test(arguments: [true, false]) func theNewOneTakesThePlaceOfTheOld(exchanges: Bool) throws {
    let scratch = try Scratch()
    for content in ["first", "second", "third"] {
      try stage(scratch, content, exchanges: exchanges).publish()
      #expect(self.content(scratch) == content)
      #expect(scratch.names == ["corpus"])
    }
  }

  @Test func thereIsAlwaysOneUnderTheName() throws {
    let scratch = try Scratch()
    try stage(scratch, "0").publish()
    let isDone = Atomic<Bool>(false)
    let misses = Atomic<Int>(0)
    let looks = Atomic<Int>(0)
    let path = "\(scratch.path)/corpus/\(Self.marker)"
    let watcher = Thread {
      while !isDone.load(ordering: .relaxed) {
        looks.add(1, ordering: .relaxed)
        if access(path, R_OK) != 0 { misses.add(1, ordering: .relaxed) }
      }
    }
    watcher.start()
    while looks.load(ordering: .relaxed) == 0 { usleep(100) }
    for number in 1...100 { try stage(scratch, "\(number)").publish() }
    isDone.store(true, ordering: .relaxed)
    #expect(misses.load(ordering: .relaxed) == 0)
    #expect(content(scratch) == "100")
  }

  @Test func whatAKilledProcessLeftIsSweptAndWhatALivingOneHasIsNot() throws {
    let scratch = try Scratch()
    let living = try stage(scratch, "living")
    // Its lock goes with the object, as with a process that is killed.
    var killed: StagedDirectory? = try stage(scratch, "killed")
    let leftover = try #require(killed?.path)
    killed = nil
    #expect(access(leftover, F_OK) == 0)
    try stage(scratch, "new").publish()
    #expect(access(leftover, F_OK) != 0 && access("\(leftover).lock", F_OK) != 0)
    #expect(access("\(living.path)/\(Self.marker)", F_OK) == 0)
    try living.publish()
    #expect(content(scratch) == "living")
    #expect(scratch.names == ["corpus"])
  }

  /// Without an exchange there is a moment with nothing under the name: a process that is killed then loses neither.
  @Test(arguments: [true, false]) func aProcessKilledBetweenTwoMovesLosesNeither(isComplete: Bool) throws {
    let scratch = try Scratch()
    try stage(scratch, "old").publish()
    var killed: StagedDirectory? = try stage(scratch, "new", exchanges: false)
    let path = try #require(killed?.path)
    #expect(rename("\(scratch.path)/corpus", "\(path).old") == 0)
    if !isComplete { try FileManager.default.removeItem(atPath: path) }
    killed = nil
    expectFailure(.cannotWrite, "exists already") { try stage(scratch, "another", replaces: false) }
    #expect(content(scratch) == (isComplete ? "new" : "old"))
    #expect(scratch.names == ["corpus"])
  }

  @Test func directoriesAboveAreMadeAsByMkdir() throws {
    let scratch = try Scratch()
    let text = try scratch.file("a.txt", "some text that is long enough to be split")
    _ = try scratch.prepare([text], tokenizer: .byte, output: "c/dd/e/../f")
    #expect(try CorpusReader(directory: "\(scratch.path)/c/dd/f").tokenCount(.train) > 0)
    #expect(access("\(scratch.path)/c/dd/e", F_OK) == 0)
  }

  @Test func manyProcessesMayMakeTheDirectoryAbove() throws {
    let scratch = try Scratch()
    let path = scratch.path
    for round in 0..<30 {
      let failures = Mutex<[String]>([])
      DispatchQueue.concurrentPerform(iterations: 4) { number in
        do {
          let directory = try StagedDirectory(
            for: "\(path)/\(round)/deep/\(number)", replaces: false, marker: Self.marker)
          try directory.publish()
        } catch {
          failures.withLock { $0.append("\(error)") }
        }
      }
      #expect(failures.withLock { $0 } == [])
    }
  }

  @Test func aNameAsLongAsTheFileSystemAllowsIsPossible() throws {
    let scratch = try Scratch()
    let name = String(repeating: "n", count: 255)
    try StagedDirectory(for: "\(scratch.path)/\(name)", replaces: false, marker: Self.marker).publish()
    #expect(scratch.names == [name])
  }
}
