import Checkpoints
import Failures
import Foundation
import TestSupport
import Testing

@Suite struct StoreTests {
  let directory: TemporaryDirectory
  let run: String

  init() throws {
    directory = try TemporaryDirectory()
    run = directory.file("run")
  }

  private func names() throws -> [String] { try SampleCheckpoint.names(in: "\(run)/checkpoints") }
  private func name(_ step: Int) -> String { "step-000000000\(step).h5" }

  /// Writes checkpoints as a trainer does, each with the best validation so far.
  private func write(_ store: inout CheckpointStore, _ step: Int, validation: Double? = nil) throws {
    try SampleCheckpoint.write(to: store.path(step: step), step: step, validation: validation)
    try store.didWrite(step: step, validation: validation)
  }

  @Test func theLastAndTheBestStay() throws {
    var store = try CheckpointStore(directory: run, keep: 2)
    #expect(store.path(step: 500) == "\(run)/checkpoints/step-0000000500.h5")
    #expect(store.path(step: 12_345_678_901) == "\(run)/checkpoints/step-12345678901.h5")
    #expect(store.latest() == nil)
    for (step, validation) in [(1, 3.0), (2, 2.0), (3, nil), (4, 2.5), (5, .nan)] as [(Int, Double?)] {
      try write(&store, step, validation: validation)
    }
    #expect(try names() == [name(2), name(4), name(5)])
    #expect(store.latest() == store.path(step: 5))
    #expect(CheckpointStore.best(in: run) == store.path(step: 2))
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "\(run)/best") == "checkpoints/\(name(2))")
    #expect(try SampleCheckpoint.names(in: run) == ["best", "checkpoints", "latest"])

    // A new process knows what is best.
    var resumed = try CheckpointStore(directory: run, keep: 1)
    #expect(resumed.best == .init(step: 2, validation: 2))
    try write(&resumed, 6, validation: 2.25)
    #expect(try names() == [name(2), name(6)])
    #expect(resumed.latest() == resumed.path(step: 6))
    try write(&resumed, 7, validation: 1.5)
    #expect(try names() == [name(7)])
    #expect(CheckpointStore.best(in: run) == resumed.path(step: 7))
  }

  @Test func whatInterruptedWritersLeftIsSwept() throws {
    var store = try CheckpointStore(directory: run, keep: 3)
    try write(&store, 1)
    let stale = [
      "checkpoints/step-0000000002.h5.partial-99", "latest.partial-99", "config.yaml.partial-node-7.x-12-0af3",
      "checkpoints/step-0000000003.h5.partial-node7-12-0af3",
    ].map { "\(run)/\($0)" }
    let others = ["checkpoints/notes.partial-x", "mine.partial-9"].map { "\(run)/\($0)" }
    for path in stale + others { try Data("x".utf8).write(to: URL(fileURLWithPath: path)) }
    try CheckpointStore.recover(run)
    #expect(stale.allSatisfy { !FileManager.default.fileExists(atPath: $0) })
    #expect(others.allSatisfy { FileManager.default.fileExists(atPath: $0) })
    #expect(store.latest() == store.path(step: 1))
  }

  @Test func namesAreResolved() throws {
    var store = try CheckpointStore(directory: run, keep: 3)
    func message(_ name: String) throws -> String {
      let error = try #require(throws: Failure.self) { try store.resolve(name) }
      #expect(error.exitStatus == .badData)
      return error.description
    }
    #expect(try message("latest").hasPrefix("\(run): there is no checkpoint in this run directory; "))
    #expect(try message("best").hasPrefix("\(run): there is no best checkpoint in this run directory; "))
    #expect(try message("\(run)/none.h5").hasPrefix("\(run)/none.h5: there is no such checkpoint; "))
    try write(&store, 1, validation: 2)
    try write(&store, 2)
    #expect(try store.resolve("latest") == store.path(step: 2))
    #expect(try store.resolve("best") == store.path(step: 1))
    #expect(try store.resolve(store.path(step: 1)) == store.path(step: 1))
    #expect(try CheckpointStore.resolve(run, in: "elsewhere") == store.path(step: 2))
    // Without its links, a copied run still has a latest checkpoint.
    try FileManager.default.removeItem(atPath: "\(run)/latest")
    #expect(try store.resolve("latest") == store.path(step: 2))
    #expect(try CheckpointReader(path: store.resolve("latest")).header.step == 2)
  }

  @Test func aDirectoryThatCannotBeMadeSaysSo() throws {
    try Data().write(to: URL(fileURLWithPath: run))
    let error = try #require(throws: Failure.self) { try CheckpointStore(directory: run, keep: 1) }
    #expect(error.exitStatus == .cannotWrite)
    #expect(error.place == "\(run)/checkpoints")
  }
}
