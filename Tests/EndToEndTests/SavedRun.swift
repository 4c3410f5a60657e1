import Checkpoints

/// All of a checkpoint that decides how a run goes on, to compare bit for bit.
struct SavedRun: Equatable {
  let step: Int
  let epoch: Int
  let window: Int
  let tensors: [String: [UInt32]]
  let positions: [Int64]
  let states: [String: Double]
  let validations: [String: HistoryTable.Values]

  init(checkpoint path: String) throws {
    let reader = try CheckpointReader(path: path)
    let header = reader.header
    (step, epoch, window) = (header.step, header.epoch, header.window)
    positions = try reader.streamPositions()
    states = header.optimizerState.merging(header.scheduleState) { $1 }.merging(header.trainingState) { $1 }
    validations = Dictionary(uniqueKeysWithValues: try reader.history().valid.columns.map { ($0.name, $0.values) })
    var tensors: [String: [UInt32]] = [:]
    for tensor in reader.parameters {
      tensors["parameters/\(tensor.name)"] = try Self.bits(tensor) {
        try reader.readParameter(tensor.name, shape: tensor.shape, into: $0)
      }
    }
    for slot in reader.slots {
      for tensor in try reader.tensors(inSlot: slot) {
        tensors["optimizer/\(slot)/\(tensor.name)"] = try Self.bits(tensor) {
          try reader.readSlot(slot, parameter: tensor.name, shape: tensor.shape, into: $0)
        }
      }
    }
    for tensor in reader.streamStates {
      tensors["streams/\(tensor.name)"] = try Self.bits(tensor) {
        try reader.readStreamState(tensor.name, shape: tensor.shape, into: $0)
      }
    }
    self.tensors = tensors
  }

  private static func bits(
    _ tensor: TensorInfo, _ read: (UnsafeMutableBufferPointer<Float>) throws -> Void
  ) throws -> [UInt32] {
    var values = [Float](repeating: .nan, count: tensor.count)
    try values.withUnsafeMutableBufferPointer { try read($0) }
    return values.map(\.bitPattern)
  }
}

extension Workspace {
  /// The checkpoint behind a run directory's `latest`.
  func saved(_ run: String = "run") throws -> SavedRun { try SavedRun(checkpoint: file("\(run)/latest")) }
}
