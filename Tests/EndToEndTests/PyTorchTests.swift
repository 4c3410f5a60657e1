import Arena
import Checkpoints
import Foundation
import Kernels
import Recurrent
import TestSupport
import Testing

extension EndToEndTests {
  /// A checkpoint's weights mean the same to PyTorch: names, shapes, gate order, biases.
  @Suite(.enabled(if: Python.hasTorch, "set LOCKSTEP_TORCH_PYTHON to a Python with torch and h5py"))
  struct PyTorchTests {
    private struct Expected: Encodable {
      let cell: String
      let activation: String
      let tokens: [Int32]
      var logits: [[Float]] = []
    }

    @Test(arguments: ["lstm", "gru", "elman-tanh", "elman-relu"], [false, true])
    func logitsAgree(_ name: String, tied: Bool) throws {
      let workspace = try Workspace()
      let parts = name.split(separator: "-").map(String.init)
      let cell: Cell =
        switch name {
        case "lstm": .lstm
        case "gru": .gru(.after)
        case "elman-relu": .elman(.relu)
        default: .elman(.tanh)
        }
      // Sizes that fill no vector register.
      let shape = ModelShape(
        cell: cell, vocabularySize: 41, embeddingSize: tied ? 37 : 23, hiddenSize: 37, layers: 2, tied: tied)
      let weights = try ModelWeights(shape, .best, training: false)
      Initialization.pytorch.fill(weights.parameters, shape: shape, seed: 7, forgetBias: 1)
      let tokens = (0..<25).map { Int32($0 * $0 * 7 % 41) }
      var expected = Expected(cell: parts[0], activation: parts.last ?? "", tokens: tokens)
      expected.logits = try logits(of: weights, tokens)
      try JSONEncoder().encode(expected).write(to: URL(fileURLWithPath: workspace.file("expected.json")))
      try write(weights, to: workspace.file("model.h5"))

      let script = (#filePath as NSString).deletingLastPathComponent + "/torch_logits.py"
      let outcome = try ChildProcess.run(
        Python.interpreter, [script, workspace.file("model.h5"), workspace.file("expected.json")],
        deadline: .seconds(120))
      #expect(outcome.status == 0, "\(outcome.standardError)")
      print("\(name)\(tied ? ", tied" : ""): largest difference of a logit \(outcome.standardOutput)", terminator: "")
    }

    /// One token at a time, the state carried over, as generation does it.
    private func logits(of weights: ModelWeights, _ tokens: [Int32]) throws -> [[Float]] {
      weights.pack()
      let model = try LanguageModel(weights, batch: LocalBatch(window: 1, streams: 1, shards: 1), training: false)
      let window = Window(steps: 1, streams: 1)
      return try tokens.map { token in
        window.inputs[0] = token
        let logits = try model.lastLogits(window)
        return Array(UnsafeBufferPointer(start: logits.pointer, count: logits.columns))
      }
    }

    private func write(_ weights: ModelWeights, to path: String) throws {
      let header = CheckpointHeader(
        step: 0, epoch: 0, window: 0, seed: 7, configuration: "", tokenizer: "byte", vocabulary: [], optimizer: "sgd")
      var writer = try CheckpointWriter(path: path, header: header)
      for parameter in weights.parameters.layout.parameters {
        try writer.writeParameter(
          parameter.name, shape: parameter.shape, UnsafeBufferPointer(weights.parameters.values[parameter.range]))
      }
      try writer.close()
    }
  }
}
