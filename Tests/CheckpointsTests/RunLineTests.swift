import Checkpoints
import Failures
import Files
import Foundation
import TestSupport
import Testing

/// One run directory, one line of history: what a resume from an earlier step leaves behind, also when it is killed.
@Suite struct RunLineTests {
  private let directory: TemporaryDirectory
  private let run: String

  init() throws {
    directory = try TemporaryDirectory()
    run = directory.file("run")
  }

  private func name(_ step: Int) -> String { "step-\(String(repeating: "0", count: 10 - "\(step)".count))\(step).h5" }
  private func names(_ folder: String) -> [String] { (try? SampleCheckpoint.names(in: "\(run)/\(folder)")) ?? [] }

  /// Checkpoints 10 to 60 with validations of their own, the best at 50.
  private func makeRun(_ traits: FileSystemTraits = .init()) throws -> CheckpointStore {
    var store = try CheckpointStore(directory: run, keep: 9, traits: traits)
    for (step, validation) in [(10, 4.0), (20, 3.0), (30, 3.5), (40, 2.5), (50, 1.0), (60, 1.5)] {
      try SampleCheckpoint.write(to: store.path(step: step), step: step, validation: validation)
      try store.didWrite(step: step, validation: validation)
    }
    return store
  }

  private func expectRewound(to step: Int, best: Int, abandoned: [Int], tail: String? = "tail") throws {
    let line = "abandoned/after-00000000\(step)"
    #expect(CheckpointStore.latest(in: run) == "\(run)/checkpoints/\(name(step))")
    #expect(CheckpointStore.best(in: run) == "\(run)/checkpoints/\(name(best))")
    #expect(names("checkpoints").allSatisfy { $0 <= name(step) })
    #expect(names(line) == (tail == nil ? [] : ["metrics.jsonl"]) + abandoned.map(name))
    if let tail { #expect(try String(contentsOfFile: "\(run)/\(line)/metrics.jsonl", encoding: .utf8) == tail) }
    #expect(names("abandoned").allSatisfy { !$0.contains("unfinished") })
  }

  private func saveTail(_ path: String) throws { try Data("tail".utf8).write(to: URL(fileURLWithPath: path)) }

  @Test(arguments: [
    FileSystemTraits(), FileSystemTraits(symbolicLinks: false),
    FileSystemTraits(symbolicLinks: false, hardLinks: false),
  ])
  func laterCheckpointsMoveAside(traits: FileSystemTraits) throws {
    var store = try makeRun(traits)
    #expect(store.best?.step == 50)
    #expect(try store.rewind(to: 20, hasTail: true, savingTail: saveTail) == "\(run)/abandoned/after-0000000020")
    #expect(store.best == .init(step: 20, validation: 3))
    try expectRewound(to: 20, best: 20, abandoned: [30, 40, 50, 60])
    // The new line is ranked on its own.
    try SampleCheckpoint.write(to: store.path(step: 30), step: 30, validation: 2)
    try store.didWrite(step: 30, validation: 2)
    #expect(CheckpointStore.latest(in: run) == store.path(step: 30))
    #expect(CheckpointStore.best(in: run) == store.path(step: 30))
    // Abandoned again from the same step: nothing of before is overwritten.
    #expect(try store.rewind(to: 20, hasTail: true, savingTail: saveTail) == "\(run)/abandoned/after-0000000020-2")
    #expect(try store.rewind(to: 20, hasTail: false, savingTail: saveTail) == nil)
    // What the names lead to is a checkpoint like any other.
    for link in ["latest", "best"] { #expect(try CheckpointReader(path: "\(run)/\(link)").header.step == 20) }
  }

  @Test func killedBeforeItIsDecidedNothingHappened() throws {
    _ = try makeRun()
    let unfinished = "\(run)/abandoned/after-0000000020.unfinished"
    try FileManager.default.createDirectory(atPath: unfinished, withIntermediateDirectories: true)
    for stage in 0..<2 {
      if stage == 1 { try saveTail("\(unfinished)/metrics.jsonl") }
      try CheckpointStore.recover(run)
      #expect(names("abandoned") == [])
      #expect(CheckpointStore.latest(in: run) == "\(run)/checkpoints/\(name(60))")
      #expect(names("checkpoints").count == 6)
      try FileManager.default.createDirectory(atPath: unfinished, withIntermediateDirectories: true)
    }
  }

  /// After the link has moved, with any number of files moved after it.
  @Test(arguments: 0...4)
  func killedAfterItIsDecidedItIsCompleted(moved: Int) throws {
    _ = try makeRun()
    let unfinished = "\(run)/abandoned/after-0000000020.unfinished"
    try FileManager.default.createDirectory(atPath: unfinished, withIntermediateDirectories: true)
    try saveTail("\(unfinished)/metrics.jsonl")
    try FileManager.default.removeItem(atPath: "\(run)/latest")
    try FileManager.default.createSymbolicLink(
      atPath: "\(run)/latest", withDestinationPath: "checkpoints/\(name(20))")
    for step in [30, 40, 50, 60].prefix(moved) {
      try FileManager.default.moveItem(
        atPath: "\(run)/checkpoints/\(name(step))", toPath: "\(unfinished)/\(name(step))")
    }
    try CheckpointStore.recover(run)
    _ = try CheckpointStore(directory: run, keep: 9)
    try expectRewound(to: 20, best: 20, abandoned: [30, 40, 50, 60])
  }

  /// Killed between putting a checkpoint in place and leading `latest` to it.
  @Test func aCompleteCheckpointIsNotLost() throws {
    let store = try makeRun()
    try SampleCheckpoint.write(to: store.path(step: 70), step: 70, validation: 0.5)
    try CheckpointStore.recover(run)
    let again = try CheckpointStore(directory: run, keep: 9)
    #expect(again.latest() == again.path(step: 70))
    #expect(again.best?.step == 70)
    // A damaged one is no reason to leave the good one.
    try SampleCheckpoint.write(to: store.path(step: 80), step: 80)
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: store.path(step: 80)))
    try file.seek(toOffset: 5000)
    try file.write(contentsOf: Data("damage".utf8))
    try file.close()
    try CheckpointStore.recover(run)
    #expect(again.latest() == again.path(step: 70))
  }

  @Test func rankingReadsWhatEachCheckpointStates() throws {
    _ = try makeRun()
    // The link was lost, or leads to a worse one.
    for target in [nil, "checkpoints/\(name(10))"] {
      try FileManager.default.removeItem(atPath: "\(run)/best")
      if let target { try FileManager.default.createSymbolicLink(atPath: "\(run)/best", withDestinationPath: target) }
      #expect(try CheckpointStore(directory: run, keep: 9).best == .init(step: 50, validation: 1))
      #expect(CheckpointStore.best(in: run) == "\(run)/checkpoints/\(name(50))")
    }
    // One that can't be read is said, not ranked, and never pruned.
    try Data("lockstep checkpoint\n".utf8).write(to: URL(fileURLWithPath: "\(run)/checkpoints/\(name(10))"))
    var store = try CheckpointStore(directory: run, keep: 1)
    #expect(store.unreadable.map(\.path) == ["\(run)/checkpoints/\(name(10))"])
    try SampleCheckpoint.write(to: store.path(step: 70), step: 70)
    try store.didWrite(step: 70)
    #expect(names("checkpoints") == [name(10), name(50), name(70)])
  }

  @Test func readersFollowALinkThatMoves() throws {
    var store = try CheckpointStore(directory: run, keep: 1)
    try SampleCheckpoint.write(to: store.path(step: 1), step: 1)
    try store.didWrite(step: 1)
    let reader = Thread { [run] in
      for _ in 0..<60 { #expect(throws: Never.self) { try CheckpointReader.open(run) } }
    }
    reader.start()
    var step = 1
    while !reader.isFinished || step <= 5 {
      step += 1
      try SampleCheckpoint.write(to: store.path(step: step), step: step)
      try store.didWrite(step: step)
    }
    #expect(step > 5)
  }
}
