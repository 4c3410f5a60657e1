import Checkpoints
import Foundation

/// A small checkpoint with something in every part.
enum SampleCheckpoint {
  static let parameters = [
    TensorInfo(name: "encoder.weight", shape: [7, 8]),
    TensorInfo(name: "rnn.weight_ih_l0", shape: [132, 8], gateOrder: "i f g o"),
    TensorInfo(name: "rnn.bias_hh_l0", shape: [132], gateOrder: "i f g o"),
    TensorInfo(name: "decoder.weight", shape: [7, 33]),
  ]

  static let slots = ["exp_avg", "exp_avg_sq"]

  static let history = History(
    train: HistoryTable([
      .init("step", .integers([1, 2, 3])), .init("loss", .reals([4.25, 3.5, .pi])),
      .init("epoch", .integers([0, 0, 1])),
    ]),
    valid: HistoryTable([.init("step", .integers([2])), .init("nats_per_token", .reals([3.75]))]))

  static func header(step: Int = 3, bestValidation: Double? = 3.75, validation: Double? = nil) -> CheckpointHeader {
    CheckpointHeader(
      step: step, epoch: 1, window: 17, seed: .max, randomStream: "Philox 4x32-10, keyed by seed and step",
      configuration: "model: {cell: lstm}  # Größe\n", tokenizer: "char",
      vocabulary: ["\n", " ", "ä", "語", "\u{0}", "a", "e\u{301}"], unknownToken: nil, optimizer: "adam",
      optimizerState: ["step": 3, "beta1": 0.9], schedule: "plateau",
      scheduleState: ["learning_rate": 0.1 + 0.2, "best": .infinity], bestValidation: bestValidation,
      trainingState: ["loss_sum": -1.5e-300],
      run: RunIdentity(id: "00ff", parent: .init(run: "ab12", step: 9)), validation: validation, corpusDigest: "c0ffee",
      instructionSet: "AVX2", precision: "f32", metricsBytes: 1 << 40)
  }

  /// Values that differ from tensor to tensor.
  static func values(_ tensor: TensorInfo, _ salt: Float = 0) -> [Float] {
    (0..<tensor.count).map { Float($0) * 0.37 - Float(tensor.name.utf8.count) + salt }
  }

  static func write(
    to path: String, step: Int = 3, bestValidation: Double? = 3.75, validation: Double? = nil
  ) throws {
    var writer = try CheckpointWriter(
      path: path, header: header(step: step, bestValidation: bestValidation, validation: validation))
    for tensor in parameters {
      try values(tensor).withUnsafeBufferPointer {
        try writer.writeParameter(tensor.name, shape: tensor.shape, $0, gateOrder: tensor.gateOrder)
      }
    }
    for (index, slot) in slots.enumerated() {
      for tensor in parameters {
        try values(tensor, Float(index + 1)).withUnsafeBufferPointer {
          try writer.writeSlot(slot, parameter: tensor.name, shape: tensor.shape, $0)
        }
      }
    }
    for name in ["hidden_l0", "cell_l0"] {
      let state = TensorInfo(name: name, shape: [5, 33])
      try values(state).withUnsafeBufferPointer { try writer.writeStreamState(name, shape: state.shape, $0) }
    }
    try writer.writeStreamPositions([1, 2, 3, 4, .max])
    try writer.writeHistory(history)
    try writer.close()
  }

  /// Reads a tensor through any of the readers.
  static func read(_ count: Int, _ body: (UnsafeMutableBufferPointer<Float>) throws -> Void) throws -> [Float] {
    var values = [Float](repeating: .nan, count: count)
    try values.withUnsafeMutableBufferPointer { try body($0) }
    return values
  }

  static func names(in directory: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
  }

  /// Runs a program and gives its exit status and output.
  static func run(_ program: String, _ arguments: [String]) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: output, as: UTF8.self))
  }
}
