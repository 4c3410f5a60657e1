import Checkpoints
import Configuration
import Foundation
import HDF5
import Kernels
import Logging
import Synchronization
import TestSupport
import Testing
import Training
import Workers

/// Weights from elsewhere are loaded as strictly as PyTorch loads a state.
@Suite struct InitialParametersTests {
  private let bench: Workbench
  private static let small = [
    "model.hidden_size=8", "model.embedding_size=8", "model.dropout=0", "training.steps=1", "optimizer.name=sgd",
    "optimizer.learning_rate=1e-30",
  ]

  init() throws { bench = try Workbench() }

  /// Trains one step from random weights; the checkpoint's path.
  private func source(_ name: String = "source", _ settings: [String] = []) throws -> String {
    try train(bench.configuration(run: name, Self.small + settings))
    return checkpoint(bench.file(name), step: 1)
  }

  private func start(from file: String, _ settings: [String] = [], run: String = "target") throws -> [String] {
    try? FileManager.default.removeItem(atPath: bench.file(run))
    return try lines(of: bench.configuration(run: run, Self.small + settings + ["model.initial_parameters=\(file)"]))
  }

  /// Trains, and returns what the journal said.
  private func lines(of configuration: RunConfiguration, resume: String? = nil) throws -> [String] {
    let lines = Lines()
    let logger = Logger(label: "test") { _ in lines }
    try WorkerLaunch.run(threads: 1) { group in
      _ = try Trainer(group, configuration: configuration, resume: resume, arithmetic: .best, logger: logger).run()
    }
    return lines.all.withLock { $0 }
  }

  private final class Lines: LogHandler, Sendable {
    let all = Mutex<[String]>([])
    subscript(metadataKey _: String) -> Logger.Metadata.Value? {
      get { nil }
      set {}
    }
    var metadata: Logger.Metadata {
      get { [:] }
      set {}
    }
    var logLevel: Logger.Level {
      get { .info }
      set {}
    }
    func log(event: LogEvent) { all.withLock { $0.append("\(event.message)") } }
  }

  /// The tensors of a checkpoint.
  private func tensors(_ path: String) throws -> [(info: TensorInfo, values: [Float])] {
    let reader = try CheckpointReader(path: path)
    return try reader.parameters.map { info in
      var values = [Float](repeating: 0, count: info.count)
      try values.withUnsafeMutableBufferPointer { try reader.readParameter(info.name, shape: info.shape, into: $0) }
      return (info, values)
    }
  }

  /// A plain HDF5 file of tensors, as h5py writes it.
  private func write(
    _ tensors: [(info: TensorInfo, values: [Float])], prefix: String = "", userBlock: Int = 0,
    to name: String = "plain.h5"
  ) throws -> String {
    let path = bench.file(name)
    let file = try H5File.create(path, existing: .replace, userBlockSize: userBlock)
    for (info, values) in tensors { try file.createDataset(prefix + info.name, values, shape: info.shape) }
    try file.close()
    return path
  }

  private func expectRefused(
    _ file: String, _ settings: [String] = [], _ parts: String..., location: SourceLocation = #_sourceLocation
  ) throws {
    for part in parts {
      expectFailure(.badData, file, part, location: location) { try start(from: file, settings) }
    }
    #expect(!FileManager.default.fileExists(atPath: bench.file("target")), sourceLocation: location)
  }

  @Test func whatIsLoadedIsSaid() throws {
    let file = try source()
    let said = try start(from: file)
    #expect(said.contains("initial parameters: all 11 tensors of the model from \(file)"))
    #expect(try tensors(checkpoint(bench.file("target"), step: 1)).map(\.values) == tensors(file).map(\.values))
    // A run directory means its latest; and a value of no effect is said.
    let directory = try start(from: bench.file("source"), ["model.forget_bias=1"])
    #expect(directory.contains { $0.contains("from \(file)") && $0.contains("model.forget_bias has no effect") })
  }

  @Test func otherTokensAreRefused() throws {
    let file = try source()
    try bench.prepare("letters", alphabet: "abcdefghijk.\n")
    try expectRefused(
      file, ["data.corpus=\(bench.file("letters"))"], "another vocabulary", "the first that differs")
    // A file that does not know its tokens can't be asked.
    let plain = try write(tensors(file))
    #expect(try !start(from: plain, ["data.corpus=\(bench.file("letters"))"]).isEmpty)
  }

  @Test func otherTensorsAreRefusedByName() throws {
    let three = try source("three", ["model.layers=3"])
    try expectRefused(three, [], "it also has rnn.weight_ih_l2, rnn.weight_hh_l2, rnn.bias_ih_l2, rnn.bias_hh_l2")
    let two = try source()
    try expectRefused(two, ["model.layers=3"], "it lacks rnn.weight_ih_l2")
    try expectRefused(two, ["model.hidden_size=9"], "rnn.weight_ih_l0 has shape [32, 8] where [36, 8] is needed")
    let plain = try write(tensors(two) + [(TensorInfo(name: "step", shape: [1]), [3])])
    try expectRefused(plain, [], "it also has step")
  }

  @Test func aTiedModelTakesADecoderThatEqualsItsEncoder() throws {
    let untied = try source()
    try expectRefused(untied, ["model.tie_weights=true"], "decoder.weight")
    let tied = try tensors(source("tied", ["model.tie_weights=true"]))
    let encoder = try #require(tied.first { $0.info.name == "encoder.weight" })
    var decoder = (info: TensorInfo(name: "decoder.weight", shape: encoder.info.shape), values: encoder.values)
    let said = try start(from: write(tied + [decoder]), ["model.tie_weights=true"])
    #expect(said.contains { $0.contains("its decoder.weight equals encoder.weight") })
    decoder.values[5] += 0.25
    try expectRefused(
      write(tied + [decoder]), ["model.tie_weights=true"], "its decoder.weight differs from its encoder.weight")
  }

  @Test func anotherKindOfModelIsRefused() throws {
    let file = try source("tanh", ["model.cell=elman", "model.activation=tanh"])
    try expectRefused(
      file, ["model.cell=elman", "model.activation=relu"], "model.activation is tanh there and relu here")
    let gru = try source("gru", ["model.cell=gru", "model.reset=after"])
    #expect(try !start(from: gru, ["model.cell=gru", "model.reset=after"]).isEmpty)
    try expectRefused(gru, ["model.cell=gru", "model.reset=before"], "model.reset")
    // What can be tensors of several kinds is taken as configured where the file does not say.
    #expect(try !start(from: write(tensors(file)), ["model.cell=elman", "model.activation=relu"]).isEmpty)
  }

  @Test func numbersThatAreNotFiniteAreNamed() throws {
    var all = try tensors(source())
    let index = try #require(all.firstIndex { $0.info.name == "rnn.weight_hh_l1" })
    for (value, word) in [(Float.nan, "nan"), (-.infinity, "-inf")] {
      all[index].values[3 * 8 + 5] = value
      try expectRefused(write(all), [], "rnn.weight_hh_l1: the value at [3, 5] is \(word)")
    }
    // In double precision it is a number.
    let path = bench.file("double.h5")
    let file = try H5File.create(path, existing: .replace)
    for (info, values) in all {
      var values = values.map(Double.init)
      if info.name == "rnn.weight_hh_l1" { values[29] = 1e300 }
      try file.createDataset(info.name, values, shape: info.shape)
    }
    try file.close()
    try expectRefused(path, [], "rnn.weight_hh_l1: the value at [3, 5] is inf in single precision")
  }

  @Test func wrappedNamesAndForeignUserBlocksAreTaken() throws {
    let all = try tensors(source())
    let said = try start(from: write(all, prefix: "module."))
    #expect(said.contains { $0.contains("their names begin with 'module.'") })
    for fill in [UInt8(0), UInt8(ascii: "x")] {
      let path = try write(all, userBlock: 512)
      let handle = try #require(FileHandle(forUpdatingAtPath: path))
      try handle.write(contentsOf: Data(repeating: fill, count: 512))
      try handle.close()
      #expect(try !start(from: path).isEmpty)
    }
    // An edited checkpoint without its seal.
    let file = bench.file("unsealed.h5")
    try Data(contentsOf: URL(fileURLWithPath: checkpoint(bench.file("source"), step: 1))).dropFirst(512)
      .write(to: URL(fileURLWithPath: file))
    #expect(try !start(from: file).isEmpty)
  }

  @Test func aResumeDoesNotNeedThem() throws {
    let file = try source()
    _ = try start(from: file)
    try FileManager.default.removeItem(atPath: bench.file("source"))
    let settings = Self.small.filter { !$0.hasPrefix("training.steps") } + ["training.steps=3"]
    try train(bench.configuration(run: "target", settings), resume: "latest")
    try train(
      bench.configuration(run: "target", settings + ["model.initial_parameters=\(file)", "training.steps=4"]),
      resume: "latest")
  }
}
