import Failures
import Files
import Foundation
import HDF5

/// Writes one checkpoint under a temporary name next to `path`; `close()` seals the file and moves it into place.
///
/// A writer that is dropped without `close()`, or whose `close()` throws, leaves no file and does not touch `path`.
/// Everything thrown is a `Failure` (can't write).
package struct CheckpointWriter: ~Copyable {
  /// The final path of the checkpoint.
  package let path: String
  private let temporaryPath: String
  private let groups: Groups
  private let notes: [Seal.Note]
  private var slots: [String: H5Group] = [:]
  private var isInPlace = false

  /// Creates the file and writes everything except tensors and history.
  package init(path: String, header: CheckpointHeader) throws {
    let temporaryPath = TemporaryFile.name(for: path)
    let groups: Groups
    do {
      groups = try Groups(temporaryPath, header)
    } catch {
      Self.remove(temporaryPath)
      throw CheckpointWriter.failure(error, path)
    }
    (self.path, self.temporaryPath, self.groups) = (path, temporaryPath, groups)
    notes = header.sealNotes
  }

  deinit {
    if !isInPlace { Self.remove(temporaryPath) }
  }

  /// Writes a parameter, row-major, under its PyTorch name.
  /// - Parameter gateOrder: for a recurrent layer's tensor, the order of the gates in its rows, such as `i f g o`.
  package mutating func writeParameter(
    _ name: String, shape: [Int], _ values: UnsafeBufferPointer<Float>, gateOrder: String? = nil
  ) throws {
    try reporting {
      let dataset = try Self.write(name, shape: shape, values, in: groups.parameters)
      if let gateOrder { try dataset.setAttribute("gate_order", gateOrder) }
      try dataset.close()
    }
  }

  /// Writes an optimiser slot of a parameter, such as `exp_avg`.
  package mutating func writeSlot(
    _ slot: String, parameter: String, shape: [Int], _ values: UnsafeBufferPointer<Float>
  ) throws {
    let existing = slots[slot]
    slots[slot] = try reporting {
      let group = try existing ?? groups.optimizer.createGroup(slot)
      try Self.write(parameter, shape: shape, values, in: group).close()
      return group
    }
  }

  /// Writes a carried state of the streams, such as `hidden_l0` with shape [streams, hidden size].
  package mutating func writeStreamState(
    _ name: String, shape: [Int], _ values: UnsafeBufferPointer<Float>
  ) throws {
    try reporting { try Self.write(name, shape: shape, values, in: groups.streams).close() }
  }

  /// Writes the position in the split that each stream has reached, over all workers.
  package mutating func writeStreamPositions(_ positions: [Int64]) throws {
    try reporting { try Self.write("position", positions, in: groups.streams) }
  }

  /// Writes the metrics so far.
  package mutating func writeHistory(_ history: History) throws {
    try reporting {
      let group = try groups.file.createGroup("history")
      for (name, table) in [("train", history.train), ("valid", history.valid)] {
        let group = try group.createGroup(name)
        for column in table.columns {
          switch column.values {
          case .integers(let values): try Self.write(column.name, values, in: group)
          case .reals(let values): try Self.write(column.name, values, in: group)
          }
        }
      }
    }
  }

  /// Completes the file, seals it with its digest and moves it into place. Everything is on disk on return.
  package consuming func close() throws {
    do {
      try groups.file.close()
      try Seal.write(to: temporaryPath, as: .checkpoint, notes: notes)
      try PosixFile.move(temporaryPath, over: path)
      isInPlace = true
      try PosixFile.synchronizeDirectory(PathName(path).directory)
    } catch {
      throw CheckpointWriter.failure(error, path)
    }
  }
}

extension CheckpointWriter {
  /// The open file and the groups for tensors.
  private struct Groups {
    let file: H5File
    let parameters: H5Group
    let optimizer: H5Group
    let streams: H5Group

    init(_ path: String, _ header: CheckpointHeader) throws {
      file = try H5File.create(path, existing: .keep, userBlockSize: Seal.size)
      try header.write(to: file)
      parameters = try file.createGroup("parameters")
      optimizer = try file.openGroup("optimizer")
      streams = try file.createGroup("streams")
    }
  }

  private func reporting<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch { throw CheckpointWriter.failure(error, path) }
  }

  private static func failure(_ error: any Error, _ path: String) -> Failure {
    let folder = PathName(path).directory
    guard access(folder, F_OK) == 0 else {
      return Failure(
        .cannotWrite, "the checkpoint can't be written: its directory is gone", at: path, cause: "\(error)",
        remedy: "if it was moved, resume there with --resume latest --set run.directory=DIR; what was removed is lost")
    }
    return Failure(
      .cannotWrite, "the checkpoint can't be written", at: path, cause: "\(error)",
      remedy:
        "checkpoints written before are untouched; free some space or fix the permissions, then continue with --resume latest"
    )
  }

  /// Removes a temporary file. Truncating it first frees its blocks even while the HDF5 library still has it open.
  private static func remove(_ path: String) {
    _ = truncate(path, 0)
    _ = unlink(path)
  }

  private static func write(
    _ name: String, shape: [Int], _ values: UnsafeBufferPointer<Float>, in group: H5Group
  ) throws -> H5Dataset {
    precondition(!name.isEmpty && !name.contains("/"), "a tensor's name is one link in its group")
    precondition(values.count == shape.reduce(1, *), "as many values as the shape has places")
    let dataset = try group.createDataset(name, .float32, shape: shape, storage: storage(shape, elementSize: 4))
    try dataset.write(values)
    return dataset
  }

  private static func write<Element: H5Element>(_ name: String, _ values: [Element], in group: H5Group) throws {
    let storage = storage([values.count], elementSize: MemoryLayout<Element>.size)
    try group.createDataset(name, values, storage: storage).close()
  }

  /// Chunks of whole rows, about 1 MiB each, with checksums. Not compressed, since weights hardly shrink.
  private static func storage(_ shape: [Int], elementSize: Int) -> H5Storage {
    guard !shape.isEmpty else { return .contiguous }
    let row = max(1, shape.dropFirst().reduce(1, *))
    let rows = max(1, (1 << 20) / (row * elementSize))
    return H5Storage(chunk: [rows] + shape.dropFirst().map { max(1, $0) }, fletcher32: true)
  }
}
