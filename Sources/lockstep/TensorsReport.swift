import Checkpoints
import Failures
import Training

/// The `inspect` report on an HDF5 file of tensors for `model.initial_parameters`.
struct TensorsReport: InspectionReport {
  private struct Tensor: Encodable {
    let name: String
    let shape: [Int]
    let gateOrder: String?
  }

  private let kind = "tensors"
  private let path: String
  private let parameters: [Tensor]

  private enum CodingKeys: CodingKey { case kind, path, parameters }

  /// nil, since such a file has no digest.
  var damage: Failure? { nil }

  /// - Throws: `ReportableError` (bad data) if the file is damaged or holds no tensor.
  init(path: String) throws {
    self.path = path
    parameters = try InitialParameters(path: path).parameters.map {
      Tensor(name: $0.name, shape: $0.shape, gateOrder: $0.gateOrder)
    }
  }

  var text: String {
    var table = TextTable(["name", "shape", "values"])
    for tensor in parameters {
      table.append([
        tensor.name, tensor.shape.map(String.init).joined(separator: " × "), grouped(tensor.shape.reduce(1, *)),
      ])
    }
    return (["\(path): HDF5 file of \(parameters.count) tensors, for model.initial_parameters"] + table.lines)
      .joined(separator: "\n")
  }
}
