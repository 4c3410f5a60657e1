import Checkpoints
import Foundation
import Interfaces
import Kernels
import Layers
import Models
import Parameters
import Sharding
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
      let architecture = LanguageArchitecture(
        .init(cell: cell, vocabularySize: 41, embeddingSize: tied ? 37 : 23, hiddenSize: 37, layers: 2, tied: tied),
        forgetBias: 1)
      let weights = try PackedParameters(architecture.layout, .best, needsBackward: false)
      architecture.initialize(weights.store, .pytorch, seed: 7)
      let tokens = (0..<25).map { Int32($0 * $0 * 7 % 41) }
      var expected = Expected(cell: parts[0], activation: parts.last ?? "", tokens: tokens)
      expected.logits = try logits(architecture, weights, tokens)
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
    private func logits(
      _ architecture: LanguageArchitecture, _ weights: PackedParameters, _ tokens: [Int32]
    ) throws -> [[Float]] {
      weights.pack()
      let decoder = try LanguageScorer(
        architecture, weights, BatchPlan(window: 1, sequences: 1, shards: 1), rank: 0)
      return try tokens.map { token in
        let logits = try decoder.advance([token])
        return Array(UnsafeBufferPointer(start: logits.pointer, count: logits.columns))
      }
    }

    private func write(_ weights: PackedParameters, to path: String) throws {
      let header = CheckpointHeader(
        step: 0, epoch: 0, window: 0, seed: 7, configuration: "", tokenizer: "byte", vocabulary: [], optimizer: "sgd")
      var writer = try CheckpointWriter(path: path, header: header)
      for parameter in weights.layout.parameters {
        try writer.writeParameter(
          parameter.name, shape: parameter.shape, UnsafeBufferPointer(weights.store[parameter]))
      }
      try writer.close()
    }
  }
}
