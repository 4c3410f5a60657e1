import Failures
import HDF5

extension TensorInfo {
  /// The numeric datasets of a group, in the file's order.
  static func list(in group: H5Group) throws -> [TensorInfo] {
    try group.links().compactMap { name in
      guard try group.isDataset(name) else { return nil }
      let dataset = try group.openDataset(name)
      guard try !dataset.holdsText() else { return nil }
      let gateOrder: String? = try dataset.hasAttribute("gate_order") ? dataset.attribute("gate_order") : nil
      return TensorInfo(name: name, shape: try dataset.shape(), gateOrder: gateOrder)
    }
  }
}

extension H5Group {
  /// Reads a tensor of the given shape, converted to single precision.
  /// - Throws: also if its shape differs from `shape`.
  func readTensor(_ name: String, shape: [Int], into values: UnsafeMutableBufferPointer<Float>) throws {
    precondition(values.count == shape.reduce(1, *), "as many values as the shape has places")
    let dataset = try openDataset(name)
    let stored = try dataset.shape()
    guard stored == shape else {
      throw Failure(
        .badData, "has shape \(stored) where \(shape) is needed", at: "\(path):\(dataset.name)",
        remedy: "model, streams and optimizer must be configured as in the run that wrote the file")
    }
    try dataset.read(into: values)
  }
}
