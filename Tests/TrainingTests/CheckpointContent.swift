import Checkpoints
import Foundation

/// All of a checkpoint that must not depend on the number of workers or on interruptions, floats as bits.
struct CheckpointContent: Equatable {
  var position: [Int]
  var tensors: [String: [UInt32]] = [:]
  var streamPositions: [Int64]
  var numbers: [String: Double]
  /// Of these weights; which was the best of a run depends on the directory that it is in.
  var validation: Double?
  var train: [HistoryTable.Column]
  var valid: [HistoryTable.Column]

  init(_ path: String) throws {
    let reader = try CheckpointReader(path: path)
    let header = reader.header
    position = [header.step, header.epoch, header.window]
    for tensor in reader.parameters {
      tensors[tensor.name] = try Self.bits(tensor) {
        try reader.readParameter(tensor.name, shape: tensor.shape, into: $0)
      }
    }
    for slot in reader.slots {
      for tensor in try reader.tensors(inSlot: slot) {
        tensors["\(slot)/\(tensor.name)"] = try Self.bits(tensor) {
          try reader.readSlot(slot, parameter: tensor.name, shape: tensor.shape, into: $0)
        }
      }
    }
    for tensor in reader.streamStates {
      tensors[tensor.name] = try Self.bits(tensor) {
        try reader.readStreamState(tensor.name, shape: tensor.shape, into: $0)
      }
    }
    streamPositions = try reader.streamPositions()
    let states = [header.optimizerState, header.scheduleState, header.trainingState]
    // Seconds are the one thing that may differ.
    numbers = states.reduce(into: [:]) { $0.merge($1) { first, _ in first } }.filter { !$0.key.hasSuffix("seconds") }
    validation = header.validation
    let history = try reader.history()
    train = history.train.columns.filter { $0.name != "tokens_per_second" }
    valid = history.valid.columns
  }

  private static func bits(
    _ tensor: TensorInfo, read: (UnsafeMutableBufferPointer<Float>) throws -> Void
  ) throws -> [UInt32] {
    var values = [Float](repeating: .nan, count: tensor.count)
    try values.withUnsafeMutableBufferPointer { try read($0) }
    return values.map(\.bitPattern)
  }

  func column(_ name: String) -> [Double] {
    guard let values = train.first(where: { $0.name == name })?.values else { return [] }
    return (0..<values.count).map { values[$0] }
  }
}

/// The path of a checkpoint of a run.
func checkpoint(_ run: String, step: Int) -> String {
  let digits = String(step)
  return "\(run)/checkpoints/step-\(String(repeating: "0", count: 10 - digits.count))\(digits).h5"
}

/// One row of `metrics.jsonl`.
struct MetricsRow: Decodable, Equatable {
  var step: Int
  var epoch: Int
  var loss: Double?
  var tokens: Int?
  var gradientNorm: Double?
  var learningRate: Double?
  var validNatsPerToken: Double?
  var validPerplexity: Double?
  var validAccuracy: Double?

  static func all(of run: String) throws -> [MetricsRow] {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try String(contentsOfFile: "\(run)/metrics.jsonl", encoding: .utf8).split(separator: "\n").map {
      try decoder.decode(MetricsRow.self, from: Data($0.utf8))
    }
  }
}
