import Failures
import Files
import HDF5

/// Reads one checkpoint. HDF5 opens the file only after its seal and, by default, its digest have been checked.
///
/// Safe to use from several threads. Everything thrown is a `ReportableError` (bad data) that names file and dataset.
package final class CheckpointReader: Sendable {
  package let path: String
  package let seal: Seal
  package let header: CheckpointHeader
  /// The parameters in the order of writing.
  package let parameters: [TensorInfo]
  /// The names of the optimiser's slots.
  package let slots: [String]
  /// The carried states of the streams, such as `hidden_l0` with shape [streams, hidden size].
  package let streamStates: [TensorInfo]
  private let file: H5File

  /// - Parameter verifyDigest: whether to read the whole file to check its digest.
  package init(path: String, verifyDigest: Bool = true) throws {
    self.path = path
    let bytes = try PosixFile(path)
    seal = try Seal(of: bytes, as: .checkpoint)
    if verifyDigest { try seal.verifyDigest(of: bytes) }
    file = try H5File.open(path)
    // HDF5 opens by name, so make sure that it opened the file whose seal was checked.
    guard bytes.isInPlace else {
      throw Failure(.badData, "was replaced while it was being opened", at: path, remedy: "try again")
    }
    header = try CheckpointHeader(from: file)
    parameters = try TensorInfo.list(in: file.openGroup("parameters"))
    let optimizer = try file.openGroup("optimizer")
    slots = try optimizer.links().filter { try !optimizer.isDataset($0) }
    streamStates = try TensorInfo.list(in: file.openGroup("streams")).filter { $0.name != "position" }
  }

  /// Opens `latest`, `best` or a path, as ``CheckpointStore/resolve(_:in:)`` does.
  ///
  /// A run may be writing there: if it moves the link and removes the old file meanwhile, the new one is opened.
  package static func open(_ name: String, in directory: String = ".") throws -> CheckpointReader {
    var path = try CheckpointStore.resolve(name, in: directory)
    for _ in 0..<100 {
      do {
        return try CheckpointReader(path: path)
      } catch {
        let now = try CheckpointStore.resolve(name, in: directory)
        guard now != path else { throw error }
        path = now
      }
    }
    return try CheckpointReader(path: path)
  }

  /// The size of the file in bytes.
  package var fileSize: Int { Seal.size + seal.byteCount }

  /// Reads a parameter, row-major.
  /// - Throws: also if its shape differs from `shape`.
  package func readParameter(
    _ name: String, shape: [Int], into values: UnsafeMutableBufferPointer<Float>
  ) throws {
    try file.openGroup("parameters").readTensor(name, shape: shape, into: values)
  }

  /// Reads an optimiser slot of a parameter.
  /// - Throws: also if its shape differs from `shape`.
  package func readSlot(
    _ slot: String, parameter: String, shape: [Int], into values: UnsafeMutableBufferPointer<Float>
  ) throws {
    try file.openGroup("optimizer").openGroup(slot).readTensor(parameter, shape: shape, into: values)
  }

  /// The tensors that `slot` holds.
  package func tensors(inSlot slot: String) throws -> [TensorInfo] {
    try TensorInfo.list(in: file.openGroup("optimizer").openGroup(slot))
  }

  /// Reads a carried state of the streams.
  /// - Throws: also if its shape differs from `shape`.
  package func readStreamState(
    _ name: String, shape: [Int], into values: UnsafeMutableBufferPointer<Float>
  ) throws {
    try file.openGroup("streams").readTensor(name, shape: shape, into: values)
  }

  /// The position in the split that each stream has reached, over all workers; empty if not recorded.
  package func streamPositions() throws -> [Int64] {
    let streams = try file.openGroup("streams")
    return try streams.contains("position") ? streams.openDataset("position").read() : []
  }

  /// The metrics up to this checkpoint; empty if not recorded.
  package func history() throws -> History {
    guard try file.contains("history") else { return History() }
    let group = try file.openGroup("history")
    return try History(
      train: HistoryTable(from: group.openGroup("train")), valid: HistoryTable(from: group.openGroup("valid")))
  }
}

extension CheckpointReader {
  /// The validation loss of these weights, in nats per token; nil if they were not validated.
  ///
  /// For a file of version 1, which does not record it, this is the validation of the file's step in the history.
  package func ownValidation() throws -> Double? {
    guard seal.formatVersion == 1 else { return header.validation }
    let table = try history().valid
    guard case .integers(let steps)? = table["step"], case .reals(let losses)? = table["valid_nats_per_token"],
      let row = steps.lastIndex(of: Int64(header.step))
    else { return nil }
    return losses[row]
  }
}

extension HistoryTable {
  fileprivate init(from group: H5Group) throws {
    let columns = try group.links().map { name in
      let dataset = try group.openDataset(name)
      return Column(
        name, try dataset.elementType() == .int64 ? .integers(dataset.read()) : .reals(dataset.read()))
    }
    guard Set(columns.map(\.values.count)).count <= 1 else {
      throw Failure(.badData, "its columns differ in length", at: "\(group.path):\(group.name)")
    }
    self.init(columns)
  }
}
