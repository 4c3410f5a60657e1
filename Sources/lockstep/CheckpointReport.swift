import Checkpoints
import Configuration
import Failures
import Files
import Foundation
import Training

/// The `inspect` report on a checkpoint.
struct CheckpointReport: InspectionReport {
  private let path: String
  private let fileSize: Int?
  private let seal: Seal?
  private let content: CheckpointSummary.Content?
  private let settings: RunConfiguration?
  let damage: Failure?

  /// Damage to a file that begins like a checkpoint is reported, not thrown.
  /// - Throws: `ReportableError` (bad data) if the file can't be read, or was written by a newer version.
  init(path: String) throws {
    self.path = path
    let summary: CheckpointSummary
    do {
      summary = try CheckpointSummary(path: path)
    } catch let failure as Failure where (try? Seal.isPresent(in: path, as: .checkpoint)) == true {
      (fileSize, seal, content, settings) = (nil, nil, nil, nil)
      damage = failure
      return
    }
    (fileSize, seal, content, damage) = (summary.fileSize, summary.seal, summary.content, summary.digestFailure)
    settings = try summary.content.map { try RunConfiguration(checkpoint: $0.header, at: path) }
  }

  private var lossUnit: LossUnit { LossUnit(tokenizer: content?.header.tokenizer ?? "") }
}

// MARK: - Text

extension CheckpointReport {
  var text: String {
    guard let content, let settings, let seal, let fileSize else {
      return sheet(
        "\(path): checkpoint, DAMAGED",
        [("size", fileSize.map(readable(bytes:))), ("format", seal.map { "version \($0.formatVersion)" })]
      ).joined(separator: "\n")
    }
    return [
      overview(content, settings, seal, fileSize: fileSize), settingsLines(settings), parameterLines(content),
      tableLines("validations", content.history.valid), tableLines("training", content.history.train),
    ]
    .filter { !$0.isEmpty }.map { $0.joined(separator: "\n") }.joined(separator: "\n\n")
  }

  private func overview(
    _ content: CheckpointSummary.Content, _ settings: RunConfiguration, _ seal: Seal, fileSize: Int
  ) -> [String] {
    let header = content.header
    let model = settings.model
    let slots = content.slots.isEmpty ? "without slots" : "slots \(content.slots.joined(separator: ", "))"
    return sheet(
      "\(path): checkpoint, intact",
      [
        ("format", "version \(seal.formatVersion), written by \(header.creator), \(header.created)"),
        ("run", header.run?.description),
        ("arithmetic", header.instructionSet.map { "\($0)\(header.precision.map { ", \($0)" } ?? "")" }),
        ("size", "\(readable(bytes: fileSize)), SHA-256 \(seal.sha256)"),
        ("task", settings.task == .languageModel ? nil : settings.task.rawValue),
        (
          "model",
          "\(model.isBidirectional ? "bidirectional " : "")\(model.cell.rawValue), \(model.layers) × \(model.hiddenSize), embedding \(model.embeddingSize)"
            + "\(model.tieWeights ? " (tied)" : ""), \(grouped(content.parameterCount)) parameters"
        ),
        ("vocabulary", "\(grouped(header.vocabulary.count)) tokens, \(header.tokenizer)"),
        ("labels", header.labels.map { "\($0.count) labels: \($0.joined(separator: " "))" }),
        (
          "position",
          "step \(grouped(header.step)): \(grouped(header.epoch)) epochs and \(grouped(header.window)) "
            + "\(settings.task == .languageModel ? "windows" : "batches") done"
        ),
        ("optimizer", "\(header.optimizer), \(slots)\(states(header.optimizerState))"),
        ("schedule", "\(header.schedule)\(states(header.scheduleState))"),
        (
          "streams",
          content.streamStates.map { "\($0.name) \(shape($0))" }.joined(separator: ", ")
        ),
        ("validation", header.validation.map { "\(fixed($0, 4)) nats/token, \(lossUnit.text($0))" }),
        ("best", header.bestValidation.map { "\(fixed($0, 4)) nats/token, \(lossUnit.text($0))" }),
        ("random", "seed \(header.seed), \(header.randomStream)"),
      ])
  }

  private func settingsLines(_ settings: RunConfiguration) -> [String] {
    let facts = ([nil] + RunConfiguration.sections).map { section in
      (
        name: section ?? "",
        value: Optional(
          settings.settings(inSection: section).map { "\($0.name): \($0.value.yaml)" }.joined(separator: ", "))
      )
    }
    return sheet("settings", facts.filter { $0.value != "" })
  }

  private func parameterLines(_ content: CheckpointSummary.Content) -> [String] {
    var table = TextTable(["name", "shape", "gates", "bytes"])
    for parameter in content.parameters {
      table.append([parameter.name, shape(parameter), parameter.gateOrder ?? "", grouped(parameter.byteCount)])
    }
    return ["parameters"] + table.lines
  }

  /// The last rows of a history table.
  private func tableLines(_ name: String, _ table: HistoryTable) -> [String] {
    let count = 8
    guard table.rowCount > 0 else { return [] }
    var text = TextTable(table.columns.map(\.name))
    for row in max(0, table.rowCount - count)..<table.rowCount {
      text.append(
        table.columns.map { column in
          switch column.values {
          case .integers(let values): grouped(Int(values[row]))
          case .reals(let values): String(format: "%.6g", values[row])
          }
        })
    }
    let heading = table.rowCount > count ? "\(name) (the last \(count) of \(grouped(table.rowCount)))" : name
    return [heading] + text.lines
  }

  private func shape(_ tensor: TensorInfo) -> String { tensor.shape.map(String.init).joined(separator: " × ") }

  private func states(_ values: [String: Double]) -> String {
    values.sorted { $0.key < $1.key }.map { "; \($0.key) \(String(format: "%.6g", $0.value))" }.joined()
  }
}

// MARK: - JSON

extension CheckpointReport {
  private struct Tensor: Encodable {
    let name: String
    let shape: [Int]
    let gateOrder: String?
    let bytes: Int

    init(_ tensor: TensorInfo) {
      (name, shape, gateOrder, bytes) = (tensor.name, tensor.shape, tensor.gateOrder, tensor.byteCount)
    }
  }

  private struct State: Encodable {
    let name: String
    var slots: [String]?
    let state: [String: Double]
  }

  private struct Tables: Encodable {
    let train: [String: HistoryTable.Values]
    let valid: [String: HistoryTable.Values]

    init(_ history: History) {
      func columns(_ table: HistoryTable) -> [String: HistoryTable.Values] {
        Dictionary(uniqueKeysWithValues: table.columns.map { ($0.name, $0.values) })
      }
      (train, valid) = (columns(history.train), columns(history.valid))
    }
  }

  private enum Key: String, CodingKey {
    case kind, path, bytes, sha256, damage, creator, created, step, epoch, window, seed, config, tokenizer, parameters
    case optimizer, schedule, streams, history, labels
    case formatVersion, digestOk, randomStream, vocabularySize, parameterCount, bestValidNatsPerToken
    case run, parentRun, parentStep, instructionSet, precision, corpusDigest, validNatsPerToken
  }

  func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: Key.self)
    try members.encode("checkpoint", forKey: .kind)
    try members.encode(path, forKey: .path)
    try members.encode(damage == nil, forKey: .digestOk)
    try members.encodeIfPresent(damage?.description, forKey: .damage)
    try members.encodeIfPresent(seal?.formatVersion, forKey: .formatVersion)
    try members.encodeIfPresent(seal?.sha256, forKey: .sha256)
    try members.encodeIfPresent(fileSize, forKey: .bytes)
    guard let content else { return }
    let header = content.header
    try members.encode(header.creator, forKey: .creator)
    try members.encode(header.created, forKey: .created)
    try members.encode(header.step, forKey: .step)
    try members.encode(header.epoch, forKey: .epoch)
    try members.encode(header.window, forKey: .window)
    try members.encodeIfPresent(header.run?.id, forKey: .run)
    try members.encodeIfPresent(header.run?.parent?.run, forKey: .parentRun)
    try members.encodeIfPresent(header.run?.parent?.step, forKey: .parentStep)
    try members.encodeIfPresent(header.instructionSet, forKey: .instructionSet)
    try members.encodeIfPresent(header.precision, forKey: .precision)
    try members.encodeIfPresent(header.corpusDigest, forKey: .corpusDigest)
    try members.encodeIfPresent(header.validation, forKey: .validNatsPerToken)
    try members.encode(header.seed, forKey: .seed)
    try members.encode(header.randomStream, forKey: .randomStream)
    try members.encodeIfPresent(settings, forKey: .config)
    try members.encode(header.tokenizer, forKey: .tokenizer)
    try members.encode(header.vocabulary.count, forKey: .vocabularySize)
    try members.encodeIfPresent(header.labels, forKey: .labels)
    try members.encode(content.parameters.map(Tensor.init), forKey: .parameters)
    try members.encode(content.parameterCount, forKey: .parameterCount)
    try members.encode(
      State(name: header.optimizer, slots: content.slots, state: header.optimizerState), forKey: .optimizer)
    try members.encode(State(name: header.schedule, state: header.scheduleState), forKey: .schedule)
    try members.encodeIfPresent(header.bestValidation, forKey: .bestValidNatsPerToken)
    try members.encode(content.streamStates.map(Tensor.init), forKey: .streams)
    try members.encode(Tables(content.history), forKey: .history)
  }
}

extension HistoryTable.Values: Encodable {
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .integers(let values): try container.encode(values)
    case .reals(let values): try container.encode(values)
    }
  }
}

extension TensorInfo {
  /// Bytes of the values; checkpoints hold single precision.
  fileprivate var byteCount: Int { count * MemoryLayout<Float>.size }
}
