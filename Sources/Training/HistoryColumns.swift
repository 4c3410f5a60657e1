import Checkpoints
import Foundation

/// The training history in a checkpoint: one row per progress line.
struct TrainColumns {
  private(set) var records: [StepRecord] = []

  init(_ table: HistoryTable = HistoryTable()) { records = table.stepRecords }

  mutating func append(_ record: StepRecord) { records.append(record) }

  var table: HistoryTable {
    HistoryTable([
      .init("step", .integers(records.map { Int64($0.step) })),
      .init("epoch", .integers(records.map { Int64($0.epoch) })),
      .init("loss", .reals(records.map(\.loss))),
      .init("tokens", .integers(records.map { Int64($0.tokens) })),
      .init("tokens_per_second", .reals(records.map(\.tokensPerSecond))),
      .init("gradient_norm", .reals(records.map(\.gradientNorm))),
      .init("learning_rate", .reals(records.map(\.learningRate))),
    ])
  }
}

/// The validation history in a checkpoint.
struct ValidColumns {
  private(set) var records: [ValidationRecord] = []

  init(_ table: HistoryTable = HistoryTable()) { records = table.validationRecords }

  mutating func append(_ record: ValidationRecord) { records.append(record) }

  var table: HistoryTable {
    func column(_ name: String, _ values: [Double]) -> [HistoryTable.Column] {
      values.isEmpty ? [] : [.init(name, .reals(values))]
    }
    return HistoryTable(
      [
        .init("step", .integers(records.map { Int64($0.step) })),
        .init("epoch", .integers(records.map { Int64($0.epoch) })),
        .init("valid_nats_per_token", .reals(records.map(\.natsPerToken))),
        .init("valid_perplexity", .reals(records.map { exp($0.natsPerToken) })),
      ] + column("valid_accuracy", records.compactMap(\.accuracy)) + column("valid_f1", records.compactMap(\.f1)))
  }
}

extension HistoryTable {
  /// The rows of a training history.
  var stepRecords: [StepRecord] {
    let (step, epoch, tokens) = (integers("step"), integers("epoch"), integers("tokens"))
    let (loss, rate) = (reals("loss"), reals("tokens_per_second"))
    let (norm, learningRate) = (reals("gradient_norm"), reals("learning_rate"))
    return (0..<rowCount).map { row in
      StepRecord(
        step: step[row], epoch: epoch[row], loss: loss[row], tokens: tokens[row], tokensPerSecond: rate[row],
        gradientNorm: norm[row], learningRate: learningRate[row])
    }
  }

  /// The rows of a validation history.
  var validationRecords: [ValidationRecord] {
    let (step, epoch, loss) = (integers("step"), integers("epoch"), reals("valid_nats_per_token"))
    func optional(_ name: String) -> [Double]? { self[name] == nil ? nil : reals(name) }
    let (accuracy, f1) = (optional("valid_accuracy"), optional("valid_f1"))
    return (0..<rowCount).map {
      ValidationRecord(
        step: step[$0], epoch: epoch[$0], natsPerToken: loss[$0], accuracy: accuracy?[$0],
        f1: f1?[$0])
    }
  }

  /// The values of a column; 0 for missing ones and those that are not integers, since a history is for display only.
  private func integers(_ name: String) -> [Int] {
    guard let values = self[name] else { return Array(repeating: 0, count: rowCount) }
    return (0..<rowCount).map { Int(exactly: values[$0]) ?? 0 }
  }

  private func reals(_ name: String) -> [Double] {
    guard let values = self[name] else { return Array(repeating: .nan, count: rowCount) }
    return (0..<rowCount).map { values[$0] }
  }
}
