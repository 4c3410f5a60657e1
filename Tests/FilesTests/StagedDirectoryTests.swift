import Failures
import Files
import Foundation
import Synchronization
import TestSupport
import Testing

/// How a directory comes under its name, and what becomes of those that never did.
@Suite struct StagedDirectoryTests {
  private static let marker = "manifest.h5"

  /// A staged directory with one file that says what it is.
  private func stage(
    _ directory: TemporaryDirectory, _ content: String, replaces: Bool = true, exchanges: Bool = true
  ) throws -> StagedDirectory {
    let staged = try StagedDirectory(
      for: "\(directory.path)/corpus", replaces: replaces, marker: Self.marker, exchanges: exchanges)
    try content.write(toFile: "\(staged.path)/\(Self.marker)", atomically: false, encoding: .utf8)
    return staged
  }

  private func content(_ directory: TemporaryDirectory) -> String? {
    try? String(contentsOfFile: "\(directory.path)/corpus/\(Self.marker)", encoding: .utf8)
  }

  @Test(arguments: [true, false]) func theNewOneTakesThePlaceOfTheOld(exchanges: Bool) throws {
    let directory = try TemporaryDirectory()
    for content in ["first", "second", "third"] {
      try stage(directory, content, exchanges: exchanges).publish()
      #expect(self.content(directory) == content)
      #expect(directory.names == ["corpus"])
    }
  }

  @Test func thereIsAlwaysOneUnderTheName() throws {
    let directory = try TemporaryDirectory()
    try stage(directory, "0").publish()
    let isDone = Atomic<Bool>(false)
    let misses = Atomic<Int>(0)
    let looks = Atomic<Int>(0)
    let path = "\(directory.path)/corpus/\(Self.marker)"
    let watcher = Thread {
      while !isDone.load(ordering: .relaxed) {
        looks.add(1, ordering: .relaxed)
        if access(path, R_OK) != 0 { misses.add(1, ordering: .relaxed) }
      }
    }
    watcher.start()
    while looks.load(ordering: .relaxed) == 0 { usleep(100) }
    for number in 1...100 { try stage(directory, "\(number)").publish() }
    isDone.store(true, ordering: .relaxed)
    #expect(misses.load(ordering: .relaxed) == 0)
    #expect(content(directory) == "100")
  }

  @Test func whatAKilledProcessLeftIsSweptAndWhatALivingOneHasIsNot() throws {
    let directory = try TemporaryDirectory()
    let living = try stage(directory, "living")
    // Its lock goes with the object, as with a process that is killed.
    var killed: StagedDirectory? = try stage(directory, "killed")
    let leftover = try #require(killed?.path)
    killed = nil
    #expect(access(leftover, F_OK) == 0)
    try stage(directory, "new").publish()
    #expect(access(leftover, F_OK) != 0 && access("\(leftover).lock", F_OK) != 0)
    #expect(access("\(living.path)/\(Self.marker)", F_OK) == 0)
    try living.publish()
    #expect(content(directory) == "living")
    #expect(directory.names == ["corpus"])
  }

  /// Without an exchange there is a moment with nothing under the name: a process that is killed then loses neither.
  @Test(arguments: [true, false]) func aProcessKilledBetweenTwoMovesLosesNeither(isComplete: Bool) throws {
    let directory = try TemporaryDirectory()
    try stage(directory, "old").publish()
    var killed: StagedDirectory? = try stage(directory, "new", exchanges: false)
    let path = try #require(killed?.path)
    #expect(rename("\(directory.path)/corpus", "\(path).old") == 0)
    if !isComplete { try FileManager.default.removeItem(atPath: path) }
    killed = nil
    expectFailure(.cannotWrite, "exists already") { try stage(directory, "another", replaces: false) }
    #expect(content(directory) == (isComplete ? "new" : "old"))
    #expect(directory.names == ["corpus"])
  }

  @Test func directoriesAboveAreMadeAsByMkdir() throws {
    let directory = try TemporaryDirectory()
    try StagedDirectory(for: "\(directory.path)/c/dd/e/../f", replaces: false, marker: Self.marker).publish()
    for name in ["c/dd/f", "c/dd/e"] { #expect(access(directory.file(name), F_OK) == 0, "\(name)") }
  }

  @Test func manyProcessesMayMakeTheDirectoryAbove() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path
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
    let directory = try TemporaryDirectory()
    let name = String(repeating: "n", count: 255)
    try StagedDirectory(for: "\(directory.path)/\(name)", replaces: false, marker: Self.marker).publish()
    #expect(directory.names == [name])
  }
}
