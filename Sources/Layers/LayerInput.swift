import Interfaces
import Kernels
import Parameters
import Sharding

/// What a recurrent layer multiplies by W_ih: rows of the layer below, or of a table. Both directions of a bidirectional
/// layer share one.
package protocol LayerInput: AnyObject {
  /// gates = x·W_ihᵀ of one direction, [rows, gates·H].
  func forward(into gates: MatrixView, direction: Int, _ pass: Pass) throws
}

/// The backward pass of a ``LayerInput``: dL/dx, and the gradients of W_ih and b_ih of each direction.
package protocol LayerInputBackward: AnyObject {
  /// The addends of b_ih, by direction.
  var biases: [Int] { get }

  /// Writes and announces the gradients, and hands dL/dx down.
  ///
  /// - Parameters:
  ///   - dGates: by direction, [rows, gates·H].
  ///   - dX: memory for dL/dx.
  /// - Returns: dL/dx, [rows, In].
  func backward(_ dGates: [MatrixView], dX: FloatBuffer, _ pass: BackwardPass) throws -> MatrixView
}

/// The rows of the layer below.
package final class DenseInput: LayerInput {
  /// [rows, In]; set before each pass.
  package var x = MatrixView.empty
  fileprivate let cells: [CellParameters]
  fileprivate let workspace: Workspace
  private let products: [Product]

  /// - Parameter cells: the parameters of the layer, by direction.
  package init(_ cells: [CellParameters], _ weights: PackedParameters, _ workspace: Workspace) {
    (self.cells, self.workspace) = (cells, workspace)
    products = cells.map { weights.forwardProduct($0.inputWeight) }
  }

  package func forward(into gates: MatrixView, direction: Int, _ pass: Pass) throws {
    try pass.observer.willRead(cells[direction].inputWeight)
    try products[direction].multiply(x, into: gates)
  }
}

/// The backward pass of ``DenseInput``.
package final class DenseInputBackward: LayerInputBackward {
  package let biases: [Int]
  private let input: DenseInput
  private let addends: [InputAddends]
  private let products: [Product]

  package init(_ input: DenseInput, _ weights: PackedParameters, _ addends: inout AddendList) {
    self.input = input
    self.addends = input.cells.map { InputAddends($0, &addends) }
    biases = self.addends.map(\.bias)
    products = input.cells.map { weights.backwardProduct($0.inputWeight) }
  }

  package func backward(_ dGates: [MatrixView], dX: FloatBuffer, _ pass: BackwardPass) throws -> MatrixView {
    let dX = dX.matrix(input.x.rows, input.x.columns)
    for (direction, product) in products.enumerated() {
      try product.multiply(dGates[direction], into: dX, accumulating: direction > 0)
    }
    input.workspace.enter(.weightGradients)
    for (addends, dGates) in zip(addends, dGates) {
      try addends.write(dGates, input.x, rows: pass.rows, pass, input.workspace)
    }
    return dX
  }
}

/// The addends of W_ih and b_ih of one direction.
struct InputAddends {
  let weight: Int
  let bias: Int

  init(_ cell: CellParameters, _ addends: inout AddendList) {
    weight = addends.enroll(cell.inputWeight)
    bias = addends.enroll(cell.inputBias)
  }

  /// Writes and announces both gradients.
  func write(
    _ dGates: MatrixView, _ x: MatrixView, rows: [ShardRows], _ pass: BackwardPass, _ workspace: Workspace
  ) throws {
    pass.write(outputs: dGates, inputs: x, rows: rows, weight: weight, bias: bias)
    try pass.finish(weight, workspace)
    try pass.finish(bias, workspace)
  }
}
