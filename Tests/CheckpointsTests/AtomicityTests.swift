import Checkpoints
import Failures
import Foundation
import TestSupport
import Testing

@Suite struct AtomicityTests {
  let directory: TemporaryDirectory
  let path: String

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.file("sample.h5")
  }

  @Test func aWriterThatIsDroppedLeavesTheOldCheckpoint() throws {
    try SampleCheckpoint.write(to: path, step: 1)
    do {
      var writer = try CheckpointWriter(path: path, header: SampleCheckpoint.header(step: 2))
      try [Float(1)].withUnsafeBufferPointer { try writer.writeParameter("a", shape: [1], $0) }
      #expect(try SampleCheckpoint.names(in: directory.path).count == 2)
    }
    #expect(try SampleCheckpoint.names(in: directory.path) == ["sample.h5"])
    #expect(try CheckpointReader(path: path).header.step == 1)
    try SampleCheckpoint.write(to: path, step: 2)
    #expect(try CheckpointReader(path: path).header.step == 2)
    #expect(try SampleCheckpoint.names(in: directory.path) == ["sample.h5"])
  }

  @Test func aDirectoryThatIsNotThereSaysSo() throws {
    let path = directory.file("gone/sample.h5")
    let error = try #require(throws: Failure.self) { try SampleCheckpoint.write(to: path) }
    #expect(error.exitStatus == .cannotWrite)
    #expect(error.description.hasPrefix("\(path): the checkpoint can't be written: "))
    #expect(error.cause?.hasSuffix("H5Fcreate failed: No such file or directory") == true)
  }

  @Test func aDirectoryThatVanishesSaysSo() throws {
    let folder = directory.file("folder")
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    let writer = try CheckpointWriter(path: "\(folder)/sample.h5", header: SampleCheckpoint.header())
    try FileManager.default.removeItem(atPath: folder)
    do {
      try writer.close()
      Issue.record("closed a checkpoint in a directory that is gone")
    } catch let error as Failure {
      #expect(error.exitStatus == .cannotWrite)
    }
  }

  /// A limit on the file size stands for a full disk. Each limit stops the writer somewhere else.
  @Test(arguments: [300, 3_000, 30_000, 60_000]) func aFullDiskLeavesTheOldCheckpoint(limit: Int) async throws {
    try SampleCheckpoint.write(to: path, step: 1)
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      [path = path as String, limit = limit as Int] in
      signal(SIGXFSZ, SIG_IGN)
      var limits = rlimit(rlim_cur: rlim_t(limit), rlim_max: rlim_t(limit))
      setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limits)
      let error = try #require(throws: Failure.self) { try SampleCheckpoint.write(to: path, step: 2) }
      #expect(error.exitStatus == .cannotWrite)
      #expect(error.place == path)
      #expect(error.cause?.hasSuffix("File too large") == true, "\(error)")
    }
    #expect(result?.standardErrorContent.isEmpty == true)
    #expect(try SampleCheckpoint.names(in: directory.path) == ["sample.h5"])
    #expect(try CheckpointReader(path: path).header.step == 1)
  }
}
