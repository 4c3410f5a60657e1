import Failures
import Files
import HDF5

/// Reads one checkpoint. HDF5 sees the file only after its seal, and unless told otherwise its digest, were found right.
///
/// May be used from several threads. Everything thrown is a `ReportableError` (bad data) that names file and dataset.
package final class CheckpointReader: Sendable {
  package let path: String
  package let seal: Seal
  package let header: CheckpointHeader
  /// The parameters, in the order in which they were written.
  package let parameters: [TensorInfo]
  /// The names of what the optimiser keeps per weight.
  package let slots: [String]
  /// The states that streams carry, such as `hidden_l0` with shape [streams, hidden size].
  package let streamStates: [TensorInfo]
  private let file: H5File

  /// - Parameter verifyDigest: whether to read the whole file once and compare its digest.
  package init(path: String, verifyDigest: Bool = true) throws {
    self.path = path
    let bytes = try PosixFile(path)
    seal = try Seal(of: bytes, as: .checkpoint)
    if verifyDigest { try seal.verifyDigest(of: bytes) }
    file = try H5File.open(path)
    // HDF5 opens by name; it must be the file whose seal was right.
    guard bytes.isInPlace else {
      throw Failure(.badData, "another file took its place while it was opened", at: path, remedy: "try again")
    }
    header = try CheckpointHeader(from: file)
    parameters = try TensorInfo.list(in: file.openGroup("parameters"))
    let optimizer = try file.openGroup("optimizer")
    slots = try optimizer.links().filter { try !optimizer.isDataset($0) }
    streamStates = try TensorInfo.list(in: file.openGroup("streams")).filter { $0.name != "position" }
  }

  /// Opens what a user calls `latest`, `best`, or by a path (``CheckpointStore/resolve(_:in:)``), also while a run writes
  /// there: where the link has moved on meanwhile and the old file is gone, the new one is opened.
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

  /// Bytes of the file.
  package var fileSize: Int { Seal.size + seal.byteCount }

  /// Reads a parameter, row-major.
  /// - Throws: also if its shape is not `shape`.
  package func readParameter(
    _ name: String, shape: [Int], into values: UnsafeMutableBufferPointer<Float>
  ) throws {
    try file.openGroup("parameters").readTensor(name, shape: shape, into: values)
  }

  /// Reads what the optimiser keeps in `slot` for a parameter.
  /// - Throws: also if its shape is not `shape`.
  package func readSlot(
    _ slot: String, parameter: String, shape: [Int], into values: UnsafeMutableBufferPointer<Float>
  ) throws {
    try file.openGroup("optimizer").openGroup(slot).readTensor(parameter, shape: shape, into: values)
  }

  /// The tensors that `slot` holds.
  package func tensors(inSlot slot: String) throws -> [TensorInfo] {
    try TensorInfo.list(in: file.openGroup("optimizer").openGroup(slot))
  }

  /// Reads a state that streams carry.
  /// - Throws: also if its shape is not `shape`.
  package func readStreamState(
    _ name: String, shape: [Int], into values: UnsafeMutableBufferPointer<Float>
  ) throws {
    try file.openGroup("streams").readTensor(name, shape: shape, into: values)
  }

  /// The position in the split up to which each stream of the global batch has been read; empty if not written.
  package func streamPositions() throws -> [Int64] {
    let streams = try file.openGroup("streams")
    return try streams.contains("position") ? streams.openDataset("position").read() : []
  }

  /// The metrics up to this checkpoint; empty if they were not written.
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
  /// A file of version 1 does not say; there it is the validation of the file's own step in its history.
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
