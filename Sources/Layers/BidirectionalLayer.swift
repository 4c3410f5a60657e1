import Interfaces
import Kernels
import Parameters

/// A layer that runs with time and against it (Schuster & Paliwal 1997); its output is both hidden states side by side, as
/// in PyTorch.
///
/// Against time each sequence is read from its own end, as with packed sequences in PyTorch: the reverse cell sees the rows
/// of every sequence in reversed order.
///
/// Memory besides the cells', in floats per batch: (gates + 2)·H·rows.
package final class BidirectionalLayer: RecurrentLayer {
  package let cells: [any RecurrentCell]
  private let input: any LayerInput
  private let workspace: Workspace
  private let gates: FloatBuffer  // [rows, gates·H], of the reverse cell in the order of the text
  private let output: FloatBuffer  // [rows, 2H]

  /// - Parameters:
  ///   - parameters: forward, then reverse.
  ///   - rows: positions of a batch, at most.
  ///   - sequences: B, at most.
  package init(
    _ parameters: [CellParameters], _ weights: PackedParameters, input: any LayerInput, rows: Int, sequences: Int,
    _ workspace: Workspace
  ) throws {
    precondition(parameters.count == 2, "a layer of two directions")
    (self.input, self.workspace) = (input, workspace)
    cells = try parameters.map { try $0.makeCell(weights, rows: rows, sequences: sequences, workspace) }
    gates = try FloatBuffer(count: rows * parameters[1].gateColumns)
    output = try FloatBuffer(count: rows * 2 * parameters[0].hiddenSize)
  }

  package func forward(_ pass: Pass) throws -> MatrixView {
    let size = cells[0].parameters.hiddenSize
    workspace.enter(.inputProducts)
    try input.forward(into: cells[0].inputGates(pass), direction: 0, pass)
    let reverse = gates.matrix(pass.rows, cells[1].parameters.gateColumns)
    try input.forward(into: reverse, direction: 1, pass)
    pass.reverse(reverse, into: cells[1].inputGates(pass))
    for cell in cells { try cell.forward(pass) }
    let output = output.matrix(pass.rows, 2 * size)
    output.columns(0..<size).update(from: cells[0].hidden.after(pass))
    pass.reverse(cells[1].hidden.after(pass), into: output.columns(size..<(2 * size)))
    return output
  }

  package func makeBackward(
    input: any LayerInputBackward, _ weights: PackedParameters, rows: Int, sequences: Int, _ workspace: Workspace,
    _ addends: inout AddendList
  ) throws -> any RecurrentLayerBackward {
    try BidirectionalLayerBackward(
      self, input: input, weights, rows: rows, sequences: sequences, workspace, &addends)
  }
}

/// The backward pass of ``BidirectionalLayer``.
package final class BidirectionalLayerBackward: RecurrentLayerBackward {
  private let cells: [any RecurrentCellBackward]
  private let input: any LayerInputBackward
  private let workspace: Workspace
  private let size: Int
  private let dHidden: FloatBuffer  // [rows, H], of one direction
  private let dGates: FloatBuffer  // [rows, gates·H], of the reverse cell in the order of the text

  /// - Parameter rows: positions of a batch, at most.
  package init(
    _ layer: BidirectionalLayer, input: any LayerInputBackward, _ weights: PackedParameters, rows: Int, sequences: Int,
    _ workspace: Workspace, _ addends: inout AddendList
  ) throws {
    (self.input, self.workspace) = (input, workspace)
    size = layer.cells[0].parameters.hiddenSize
    cells = try layer.cells.map { try $0.makeBackward(weights, sequences: sequences, &addends) }
    dHidden = try FloatBuffer(count: rows * size)
    dGates = try FloatBuffer(count: rows * layer.cells[1].parameters.gateColumns)
  }

  package func backward(dOutput: MatrixView, dX: FloatBuffer, _ pass: BackwardPass) throws -> MatrixView {
    let forward = pass.forward
    let dHidden = dHidden.matrix(forward.rows, size)
    dHidden.update(from: dOutput.columns(0..<size))
    let dForward = try cells[0].backward(dOutput: dHidden, [], forward)
    forward.reverse(dOutput.columns(size..<(2 * size)), into: dHidden)
    let dReversed = try cells[1].backward(dOutput: dHidden, [], forward)
    let dReverse = dGates.matrix(forward.rows, dReversed.columns)
    forward.reverse(dReversed, into: dReverse)
    workspace.enter(.inputProducts)
    let dX = try input.backward([dForward, dReverse], dX: dX, pass)
    workspace.enter(.weightGradients)
    for (cell, bias) in zip(cells, input.biases) { try cell.writeGradients(inputBias: bias, pass) }
    return dX
  }
}

extension Pass {
  /// Copies the rows of each sequence in reversed order. Twice is the identity.
  fileprivate func reverse(_ source: MatrixView, into target: MatrixView) {
    for step in 0..<steps {
      for (sequence, row) in rows(of: step).enumerated() {
        let from = layout.row(step: layout.length(of: sequence) - 1 - step, sequence: sequence)
        (target.pointer + row * target.stride).update(
          from: source.pointer + from * source.stride, count: source.columns)
      }
    }
  }
}
