import Failures
import Files
import Foundation
import HDF5

/// Weights to start from: a Lockstep checkpoint, the latest one in a run directory, or an HDF5 file with one dataset
/// per
/// tensor, named as in PyTorch's `named_parameters()`, at `/NAME` or `/parameters/NAME`.
package final class InitialParameters: Sendable {
  package let path: String
  /// The tensors in the file's order, named without the wrapper's prefix.
  package let parameters: [TensorInfo]
  /// Whether every name in the file begins with `module.`, the prefix that PyTorch's DistributedDataParallel adds.
  package let isWrapped: Bool
  private let file: H5File
  private let group: H5Group

  private static let wrapper = "module."

  /// - Throws: `ReportableError` (bad data) if the file is missing, damaged, not HDF5, or holds no tensor.
  package init(path name: String) throws {
    let path = try Self.file(at: name)
    self.path = path
    if try Seal.isPresent(in: path, as: .checkpoint) {
      try Self.verify(path)
    }
    file = try Self.open(path)
    group = try file.contains("parameters") ? file.openGroup("parameters") : file
    let tensors = try TensorInfo.list(in: group)
    guard !tensors.isEmpty else {
      throw Failure(
        .badData, "holds no tensor", at: "\(path):\(group.name)",
        remedy: "write one dataset per parameter, at /NAME or /parameters/NAME, such as rnn.weight_ih_l0")
    }
    let isWrapped = tensors.allSatisfy { $0.name.hasPrefix(Self.wrapper) }
    self.isWrapped = isWrapped
    parameters = tensors.map { tensor in
      var tensor = tensor
      if isWrapped { tensor.name.removeFirst(Self.wrapper.count) }
      return tensor
    }
  }

  /// Reads a tensor, row-major, converted to single precision.
  /// - Throws: `ReportableError` (bad data) if it is missing or its shape differs from `shape`.
  package func read(_ name: String, shape: [Int], into values: UnsafeMutableBufferPointer<Float>) throws {
    guard parameters.contains(where: { $0.name == name }) else {
      throw Failure(
        .badData, "there is no tensor '\(name)'", at: "\(path):\(group.name)",
        remedy: "the file has \(parameters.map(\.name).joined(separator: ", "))")
    }
    try group.readTensor(isWrapped ? Self.wrapper + name : name, shape: shape, into: values)
  }

  /// Reads a tensor and checks that all its values are finite in single precision.
  /// - Throws: as ``read(_:shape:into:)``, and with the index of the first value that is not finite.
  package func readFinite(_ name: String, shape: [Int], into values: UnsafeMutableBufferPointer<Float>) throws {
    try read(name, shape: shape, into: values)
    guard let first = values.firstIndex(where: { !$0.isFinite }) else { return }
    var (index, rest) = ([Int](), first)
    for size in shape.reversed() {
      index.insert(rest % size, at: 0)
      rest /= size
    }
    throw Failure(
      .badData, "the value at \(index) is \(values[first]) in single precision", at: "\(path):\(group.name)/\(name)",
      remedy: "give weights that are finite numbers below 3.4e38")
  }

  /// The configuration that the weights were trained with; nil if the file has none.
  package func configuration() throws -> String? {
    try file.contains("config") && file.isDataset("config") ? file.openDataset("config").readText() : nil
  }

  /// The tokeniser's name and the token of each embedding row; nil if the file has no vocabulary.
  package func vocabulary() throws -> (tokenizer: String, tokens: [String])? {
    guard try file.contains("vocabulary"), try file.isDataset("vocabulary") else { return nil }
    let dataset = try file.openDataset("vocabulary")
    guard try dataset.hasAttribute("tokenizer") else { return nil }
    return (try dataset.attribute("tokenizer"), try dataset.readTexts())
  }

  /// The label of each output row; nil if the file has none.
  package func labels() throws -> [String]? {
    // In a file of another program a dataset of this name may be anything.
    guard try vocabulary() != nil, try file.contains("labels"), try file.isDataset("labels") else { return nil }
    return try file.openDataset("labels").readTexts()
  }

  /// The file that `path` means: itself or, for a run directory, its latest checkpoint.
  /// - Throws: `Failure` (bad data) for a directory without a checkpoint.
  package static func file(at path: String) throws -> String {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue else {
      return path
    }
    guard let latest = CheckpointStore.latest(in: path) else {
      throw Failure(
        .badData, "is a directory without a checkpoint", at: path, remedy: "name a file, or a run directory")
    }
    return latest
  }

  /// Checks the seal; the error tells a user who edited the weights on purpose how to remove it.
  private static func verify(_ path: String) throws {
    do {
      try Seal(of: path, as: .checkpoint).verifyDigest(of: path)
    } catch var failure as Failure {
      let advice = "to use weights that were edited on purpose, cut the seal off (tail -c +513 \(path) > weights.h5)"
      failure.remedy = (failure.remedy.map { "\($0); " } ?? "") + advice
      throw failure
    }
  }

  private static func open(_ path: String) throws -> H5File {
    let file: H5File
    do {
      file = try H5File.open(path)
    } catch let error as H5Error {
      // HDF5's "file signature not found" does not help a user who mixed up two paths.
      let beginning = try PosixFile(path).read(Seal.hdf5Signature.count, at: 0)
      guard beginning != Seal.hdf5Signature else { throw error }
      throw Failure(
        .badData, "is not an HDF5 file", at: path,
        remedy: "give a checkpoint, or a file with one dataset per parameter, such as h5py writes")
    }
    // Another program's user block is ignored; our own, if empty, marks an unfinished checkpoint.
    if try file.hasAttribute("format"), try file.attribute("format") == SealedFormat.checkpoint.name,
      try Seal.isPending(in: PosixFile(path))
    {
      throw Failure(
        .badData, "is a checkpoint that was never finished", at: path, remedy: SealedFormat.checkpoint.remedy)
    }
    return file
  }
}
