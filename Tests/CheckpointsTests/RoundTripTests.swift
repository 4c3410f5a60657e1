import Checkpoints
import Failures
import Foundation
import HDF5
import TestSupport
import Testing

@Suite struct RoundTripTests {
  let directory: TemporaryDirectory
  let path: String

  init() throws {
    directory = try TemporaryDirectory()
    path = directory.file("sample.h5")
    try SampleCheckpoint.write(to: path)
  }

  @Test func allComesBackBitForBit() throws {
    let reader = try CheckpointReader(path: path)
    var header = SampleCheckpoint.header()
    header.created = reader.header.created
    #expect(reader.header == header)
    // String's == takes canonically equivalent texts for equal; tokens must come back scalar for scalar.
    #expect(reader.header.vocabulary.map { Array($0.utf8) } == header.vocabulary.map { Array($0.utf8) })
    #expect(try Date(header.created, strategy: .iso8601).timeIntervalSinceNow > -3600)
    #expect(reader.parameters == SampleCheckpoint.parameters)
    #expect(reader.slots == SampleCheckpoint.slots)
    #expect(reader.streamStates == ["hidden_l0", "cell_l0"].map { TensorInfo(name: $0, shape: [5, 33]) })
    #expect(try reader.streamPositions() == [1, 2, 3, 4, .max])
    #expect(try reader.history() == SampleCheckpoint.history)
    for tensor in reader.parameters {
      let values = try SampleCheckpoint.read(tensor.count) {
        try reader.readParameter(tensor.name, shape: tensor.shape, into: $0)
      }
      #expect(values == SampleCheckpoint.values(tensor))
      for (index, slot) in reader.slots.enumerated() {
        let values = try SampleCheckpoint.read(tensor.count) {
          try reader.readSlot(slot, parameter: tensor.name, shape: tensor.shape, into: $0)
        }
        #expect(values == SampleCheckpoint.values(tensor, Float(index + 1)))
      }
    }
    for state in reader.streamStates {
      let values = try SampleCheckpoint.read(state.count) {
        try reader.readStreamState(state.name, shape: state.shape, into: $0)
      }
      #expect(values == SampleCheckpoint.values(state))
    }
    #expect(try reader.tensors(inSlot: "exp_avg").map(\.name) == SampleCheckpoint.parameters.map(\.name))
  }

  @Test func aCheckpointWithoutOptionalPartsIsWhole() throws {
    var header = SampleCheckpoint.header(bestValidation: nil)
    header.unknownToken = "<unk>"
    (header.run, header.corpusDigest, header.instructionSet, header.precision) = (nil, nil, nil, nil)
    header.metricsBytes = nil
    try CheckpointWriter(path: path, header: header).close()
    let reader = try CheckpointReader(path: path)
    header.created = reader.header.created
    #expect(reader.header == header)
    #expect(reader.parameters.isEmpty)
    #expect(try reader.history() == History())
    #expect(try reader.streamPositions().isEmpty)
  }

  @Test func anotherShapeIsRefused() throws {
    let reader = try CheckpointReader(path: path)
    let error = try #require(throws: Failure.self) {
      _ = try SampleCheckpoint.read(14) { try reader.readParameter("encoder.weight", shape: [7, 2], into: $0) }
    }
    #expect(error.description.hasPrefix("\(path):/parameters/encoder.weight: has shape [7, 8] where [7, 2] is needed"))
    #expect(error.exitStatus == .badData)
    #expect(throws: H5Error.self) {
      _ = try SampleCheckpoint.read(1) { try reader.readParameter("none", shape: [1], into: $0) }
    }
  }

  @Test func theSummaryTellsWhatIsInside() throws {
    let summary = try CheckpointSummary(path: path)
    let content = try #require(summary.content)
    #expect(summary.digestFailure == nil)
    #expect(summary.seal.formatVersion == 2)
    #expect(content.parameterCount == 56 + 132 * 8 + 132 + 7 * 33)
    #expect(try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int == summary.fileSize)

    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    try file.seek(toOffset: 5000)
    let byte = try #require(try file.read(upToCount: 1)?.first)
    try file.seek(toOffset: 5000)
    try file.write(contentsOf: [byte ^ 4])
    try file.close()
    let damaged = try CheckpointSummary(path: path)
    #expect(damaged.digestFailure?.what.hasPrefix("damaged") == true)
    #expect(damaged.content == nil)
  }

  @Test func h5lsAndH5dumpOpenIt() throws {
    let list = try SampleCheckpoint.run("h5ls", ["-r", path])
    #expect(list.status == 0)
    for line in [
      "/config                  Dataset {SCALAR}", "/parameters/rnn.weight_ih_l0 Dataset {132, 8}",
      "/optimizer/exp_avg_sq/decoder.weight Dataset {7, 33}", "/streams/position        Dataset {5}",
      "/history/valid/nats_per_token Dataset {1}", "/vocabulary              Dataset {7}",
    ] {
      #expect(list.output.contains(line), "\(list.output)")
    }
    let dump = try SampleCheckpoint.run("h5dump", [path])
    #expect(dump.status == 0)
    #expect(dump.output.contains("(0): \"lockstep checkpoint\""))
    #expect(dump.output.contains("(0): \"i f g o\""))
    #expect(dump.output.contains("model: {cell: lstm}"))
    let properties = try SampleCheckpoint.run("h5dump", ["-p", "-H", "-d", "/parameters/encoder.weight", path])
    #expect(properties.output.contains("CHECKSUM FLETCHER32"))
  }

  @Test func theSealIsTextAndSha256sumAgrees() throws {
    let lines = try SampleCheckpoint.run("head", ["-n", "5", path]).output.split(separator: "\n")
    #expect(lines.prefix(2) == ["lockstep checkpoint", "format_version 2"])
    let sum = try SampleCheckpoint.run("sh", ["-c", "tail -c +513 '\(path)' | sha256sum"]).output
    #expect(lines[3] == "sha256 \(sum.prefix(64))")
  }

  static let hasH5py = (try? SampleCheckpoint.run("python3", ["-c", "import h5py"]).status) == 0

  @Test(.enabled(if: hasH5py, "h5py is not installed")) func h5pyReadsIt() throws {
    let script = """
      import h5py, sys
      file = h5py.File(sys.argv[1])
      print(file.attrs["format"], file["vocabulary"].asstr()[3], file["config"].asstr()[()].strip())
      for name, tensor in file["parameters"].items(): print(name, tensor.shape, tensor.dtype, tensor[...].flat[1])
      """
    let output = try SampleCheckpoint.run("python3", ["-c", script, path])
    #expect(output.status == 0)
    #expect(output.output.contains("lockstep checkpoint 語 model: {cell: lstm}  # Größe"))
    #expect(output.output.contains("rnn.weight_ih_l0 (132, 8) float32 -15.63"))
  }
}
