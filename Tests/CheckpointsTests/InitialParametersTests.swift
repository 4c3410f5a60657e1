import Checkpoints
import Failures
import Foundation
import HDF5
import TestSupport
import Testing

@Suite struct InitialParametersTests {
  let directory: TemporaryDirectory
  let path: String

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.file("initial.h5")
  }

  @Test(arguments: ["/", "parameters"]) func aPlainFileIsRead(folder: String) throws {
    let file = try H5File.create(path)
    let group = folder == "/" ? file : try file.createGroup(folder)
    try group.createDataset("encoder.weight", [Float](repeating: 0.5, count: 6), shape: [2, 3])
    try group.createDataset("rnn.bias_ih_l0", [0.25, -1], shape: [2])
    try group.createDataset("note", "not a tensor")
    try file.close()

    let initial = try InitialParameters(path: path)
    #expect(initial.parameters.map(\.name) == ["encoder.weight", "rnn.bias_ih_l0"])
    #expect(initial.parameters.map(\.shape) == [[2, 3], [2]])
    // Stored in double precision.
    #expect(try SampleCheckpoint.read(2) { try initial.read("rnn.bias_ih_l0", shape: [2], into: $0) } == [0.25, -1])
    let shape = try #require(throws: Failure.self) {
      _ = try SampleCheckpoint.read(6) { try initial.read("encoder.weight", shape: [3, 2], into: $0) }
    }
    #expect(shape.what == "has shape [2, 3] where [3, 2] is needed")
    let missing = try #require(throws: Failure.self) {
      _ = try SampleCheckpoint.read(6) { try initial.read("decoder.weight", shape: [3, 2], into: $0) }
    }
    #expect(missing.description.contains("there is no tensor 'decoder.weight'; the file has encoder.weight, rnn.b"))
  }

  @Test func aCheckpointIsRead() throws {
    try SampleCheckpoint.write(to: path)
    let initial = try InitialParameters(path: path)
    #expect(initial.parameters == SampleCheckpoint.parameters)
    let tensor = SampleCheckpoint.parameters[1]
    let values = try SampleCheckpoint.read(tensor.count) {
      try initial.read(tensor.name, shape: tensor.shape, into: $0)
    }
    #expect(values == SampleCheckpoint.values(tensor))
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    bytes[bytes.count - 9] ^= 1
    try bytes.write(to: URL(fileURLWithPath: path))
    #expect(throws: Failure.self) { try InitialParameters(path: path) }
  }

  @Test func otherFilesAreRefused() throws {
    #expect(throws: Failure.self) { try InitialParameters(path: path) }
    try Data("text".utf8).write(to: URL(fileURLWithPath: path))
    let foreign = try #require(throws: Failure.self) { try InitialParameters(path: path) }
    #expect(foreign.description.hasPrefix("\(path): is not an HDF5 file; "))
    let file = try H5File.create(path, existing: .replace)
    try file.createDataset("note", "nothing but a text")
    try file.close()
    let error = try #require(throws: Failure.self) { try InitialParameters(path: path) }
    #expect(error.description.hasPrefix("\(path):/: holds no tensor; "))
  }
}
