import Failures
import Files
import HDF5

/// Weights to start from: a Lockstep checkpoint, or an HDF5 file with one dataset a tensor under PyTorch's names, at
/// `/NAME` or `/parameters/NAME`, as h5py writes it from `named_parameters()`.
package final class InitialParameters: Sendable {
  package let path: String
  /// The tensors, in the file's order.
  package let parameters: [TensorInfo]
  private let file: H5File
  private let group: H5Group

  /// - Throws: `ReportableError` (bad data) if the file is missing, damaged, not HDF5, or holds no tensor.
  package init(path: String) throws {
    self.path = path
    if try Seal.isPresent(in: path, as: .checkpoint) {
      try Seal(of: path, as: .checkpoint).verifyDigest(of: path)
    }
    file = try Self.open(path)
    group = try file.contains("parameters") ? file.openGroup("parameters") : file
    parameters = try TensorInfo.list(in: group)
    guard !parameters.isEmpty else {
      throw Failure(
        .badData, "holds no tensor", at: "\(path):\(group.name)",
        remedy: "write one dataset a parameter, at /NAME or /parameters/NAME, such as rnn.weight_ih_l0")
    }
  }

  /// Reads a tensor, row-major, converted to single precision.
  /// - Throws: `ReportableError` (bad data) if it is missing or its shape is not `shape`.
  package func read(_ name: String, shape: [Int], into values: UnsafeMutableBufferPointer<Float>) throws {
    guard parameters.contains(where: { $0.name == name }) else {
      throw Failure(
        .badData, "there is no tensor '\(name)'", at: "\(path):\(group.name)",
        remedy: "the file has \(parameters.map(\.name).joined(separator: ", "))")
    }
    try group.readTensor(name, shape: shape, into: values)
  }

  private static func open(_ path: String) throws -> H5File {
    do {
      return try H5File.open(path)
    } catch let error as H5Error {
      // The library's "file signature not found" helps nobody who has mixed up two paths.
      let beginning = try PosixFile(path).read(Seal.hdf5Signature.count, at: 0)
      guard beginning != Seal.hdf5Signature else { throw error }
      throw Failure(
        .badData, "is not an HDF5 file", at: path,
        remedy: "give a checkpoint, or a file with one dataset a parameter, such as h5py writes")
    }
  }
}
