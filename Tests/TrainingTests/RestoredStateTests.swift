import Checkpoints
import Foundation
import TestSupport
import Testing
import Training

/// What a checkpoint restores is complete, or refused by name.
@Suite struct RestoredStateTests {
  private static let settings = ["schedule.name=plateau", "training.steps=3", "model.hidden_size=8"]

  /// Writes the checkpoint again with another header, as its directory's own.
  private func rewrite(
    _ path: String, history: History? = nil, leavingOut slot: String? = nil,
    _ change: (inout CheckpointHeader) -> Void = { _ in }
  ) throws {
    let reader = try CheckpointReader(path: path)
    var header = reader.header
    change(&header)
    var writer = try CheckpointWriter(path: path, header: header)
    func copy(
      _ tensor: TensorInfo, _ read: (UnsafeMutableBufferPointer<Float>) throws -> Void,
      _ write: (UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
      var values = [Float](repeating: 0, count: tensor.count)
      try values.withUnsafeMutableBufferPointer { try read($0) }
      try values.withUnsafeBufferPointer { try write($0) }
    }
    for tensor in reader.parameters {
      try copy(tensor, { try reader.readParameter(tensor.name, shape: tensor.shape, into: $0) }) {
        try writer.writeParameter(tensor.name, shape: tensor.shape, $0)
      }
    }
    for name in reader.slots where name != slot {
      for tensor in try reader.tensors(inSlot: name) {
        try copy(tensor, { try reader.readSlot(name, parameter: tensor.name, shape: tensor.shape, into: $0) }) {
          try writer.writeSlot(name, parameter: tensor.name, shape: tensor.shape, $0)
        }
      }
    }
    for tensor in reader.streamStates {
      try copy(tensor, { try reader.readStreamState(tensor.name, shape: tensor.shape, into: $0) }) {
        try writer.writeStreamState(tensor.name, shape: tensor.shape, $0)
      }
    }
    try writer.writeStreamPositions(reader.streamPositions())
    try writer.writeHistory(history ?? reader.history())
    try writer.close()
  }

  @Test func whatIsMissingIsNamed() throws {
    let bench = try Workbench()
    try train(bench.configuration(Self.settings))
    let path = checkpoint(bench.file("run"), step: 3)
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    let changes: [(String, (inout CheckpointHeader) -> Void)] = [
      ("/training/state: lacks 'tokens'", { $0.trainingState["tokens"] = nil }),
      ("/training/state: lacks 'interval_nats'", { $0.trainingState["interval_nats"] = nil }),
      ("/training/state: lacks 'interval_tokens'", { $0.trainingState["interval_tokens"] = 0.5 }),
      ("/training/schedule: lacks 'factor'", { $0.scheduleState["factor"] = nil }),
      ("/optimizer: lacks 'updates'", { $0.optimizerState["updates"] = nil }),
    ]
    for (message, change) in changes {
      try rewrite(path, change)
      expectFailure(.badData, path, message) { try train(bench.configuration(Self.settings), resume: "latest") }
      try whole.write(to: URL(fileURLWithPath: path))
    }
    try rewrite(path, leavingOut: "exp_avg_sq")
    expectFailure(.badData, path, "exp_avg_sq") {
      try train(bench.configuration(Self.settings), workers: 2, resume: "latest")
    }
    // Rewritten as it was, it serves.
    try whole.write(to: URL(fileURLWithPath: path))
    try rewrite(path)
    try train(bench.configuration(Self.settings + ["training.steps=4"]), resume: "latest")
  }

  /// A history is shown, not believed.
  @Test func aForgedHistoryDoesNoHarm() throws {
    let bench = try Workbench()
    try train(bench.configuration(Self.settings))
    let path = checkpoint(bench.file("run"), step: 3)
    let histories = [
      History(train: HistoryTable([.init("step", .reals([1e300, .nan]))]), valid: HistoryTable([])),
      History(
        train: HistoryTable([.init("loss", .integers([.max])), .init("note", .reals([0]))]),
        valid: HistoryTable([.init("step", .integers([.min, .max])), .init("epoch", .reals([0.5, -.infinity]))])),
    ]
    for (index, history) in histories.enumerated() {
      try rewrite(path, history: history)
      try? FileManager.default.removeItem(atPath: bench.file("run/metrics.jsonl"))
      let steps = 4 + index
      try train(bench.configuration(Self.settings + ["training.steps=\(steps)"]), resume: path)
      #expect(try CheckpointReader(path: checkpoint(bench.file("run"), step: steps)).header.step == steps)
    }
  }
}
