import Interfaces
import Kernels
import Parameters

/// One layer of a stack: an input and a cell, or a cell for each direction.
package protocol RecurrentLayer: AnyObject {
  /// By direction.
  var cells: [any RecurrentCell] { get }

  /// Returns the layer's output, [rows, directions·H], valid until the next forward.
  func forward(_ pass: Pass) throws -> MatrixView

  /// The backward pass, for training.
  ///
  /// - Parameters:
  ///   - input: that of the layer's input.
  ///   - rows: positions of a batch, at most.
  ///   - addends: takes what the layer completes after its input's own addends.
  func makeBackward(
    input: any LayerInputBackward, _ weights: PackedParameters, rows: Int, sequences: Int, _ workspace: Workspace,
    _ addends: inout AddendList
  ) throws -> any RecurrentLayerBackward
}

/// Backpropagation through a ``RecurrentLayer``.
package protocol RecurrentLayerBackward: AnyObject {
  /// Writes and announces the gradients of the layer.
  ///
  /// - Parameters:
  ///   - dOutput: [rows, directions·H]
  ///   - dX: memory for dL/dx.
  /// - Returns: dL/dx, [rows, In].
  func backward(dOutput: MatrixView, dX: FloatBuffer, _ pass: BackwardPass) throws -> MatrixView
}

/// A layer that runs with time.
package final class ForwardLayer: RecurrentLayer {
  package let cells: [any RecurrentCell]
  private let input: any LayerInput
  private let workspace: Workspace

  /// - Parameters:
  ///   - rows: positions of a batch, at most.
  ///   - sequences: B, at most.
  package init(
    _ parameters: CellParameters, _ weights: PackedParameters, input: any LayerInput, rows: Int, sequences: Int,
    _ workspace: Workspace
  ) throws {
    (self.input, self.workspace) = (input, workspace)
    cells = [try parameters.makeCell(weights, rows: rows, sequences: sequences, workspace)]
  }

  package func forward(_ pass: Pass) throws -> MatrixView {
    let cell = cells[0]
    let gates = cell.inputGates(pass)
    workspace.enter(.inputProducts)
    try input.forward(into: gates, direction: 0, pass)
    workspace.probe?.visit("input product of \(cell.parameters.layerName)", gates, pass.layout)
    try cell.forward(pass)
    return cell.hidden.after(pass)
  }

  package func makeBackward(
    input: any LayerInputBackward, _ weights: PackedParameters, rows: Int, sequences: Int, _ workspace: Workspace,
    _ addends: inout AddendList
  ) throws -> any RecurrentLayerBackward {
    try ForwardLayerBackward(self, input: input, weights, sequences: sequences, workspace, &addends)
  }
}

/// The backward pass of ``ForwardLayer``.
package final class ForwardLayerBackward: RecurrentLayerBackward {
  package let cell: any RecurrentCellBackward
  private let input: any LayerInputBackward
  private let workspace: Workspace

  package init(
    _ layer: ForwardLayer, input: any LayerInputBackward, _ weights: PackedParameters, sequences: Int,
    _ workspace: Workspace, _ addends: inout AddendList
  ) throws {
    (self.input, self.workspace) = (input, workspace)
    cell = try layer.cells[0].makeBackward(weights, sequences: sequences, &addends)
  }

  package func backward(dOutput: MatrixView, dX: FloatBuffer, _ pass: BackwardPass) throws -> MatrixView {
    let dGates = try cell.backward(dOutput: dOutput, [], pass.forward)
    workspace.enter(.inputProducts)
    let dX = try input.backward([dGates], dX: dX, pass)
    workspace.enter(.weightGradients)
    try cell.writeGradients(inputBias: input.biases[0], pass)
    return dX
  }
}
