import Interfaces
import Kernels
import Parameters

/// The recurrence of one layer in one direction: from the input's share of the pre-activations to hidden states. It keeps
/// its tape for the backward pass.
package protocol RecurrentCell: AnyObject {
  var parameters: CellParameters { get }
  /// h over the batch.
  var hidden: StateTape { get }
  /// c over the batch; LSTM only.
  var cellState: StateTape? { get }

  /// Where x·W_ihᵀ goes before ``forward(_:)``, [T·B, gates·H].
  func inputGates(_ pass: Pass) -> MatrixView

  /// Runs the time steps from states 0.
  func forward(_ pass: Pass) throws

  /// The backward pass, for training.
  ///
  /// - Parameter addends: takes what the backward pass completes after the input's own addends.
  func makeBackward(_ weights: PackedParameters, sequences: Int, _ addends: inout AddendList) throws
    -> any RecurrentCellBackward
}

/// Backpropagation through the time steps of a ``RecurrentCell``: a cell says what one step does.
package protocol RecurrentCellBackward: AnyObject {
  var workspace: Workspace { get }
  /// As messages name the layer.
  var layerName: String { get }

  /// The gradient of the input's share of the pre-activations, [T·B, gates·H].
  func dGates(_ pass: Pass) -> MatrixView

  /// Computes the gates' gradients of time step `t` from dL/dh(t), and leaves in ``dInitialHidden(_:)`` the part of
  /// dL/dh(t−1) that passes through no product, in ``dInitialCell(_:)`` dL/dc(t−1).
  ///
  /// - Parameter dOutput: [B, H], what the layer above adds to dL/dh(t).
  func differentiate(step t: Int, dOutput: MatrixView, _ pass: Pass) throws

  /// Completes dL/dh(t−1) by the product that leads from the gates of time step `t` to the state before.
  func propagate(step t: Int, into dHidden: MatrixView, _ pass: Pass) throws

  /// Writes and announces the gradients of W_hh and b_hh.
  ///
  /// - Parameter inputBias: the addend of b_ih, which is final already.
  func writeGradients(inputBias: Int, _ pass: BackwardPass) throws

  /// dL/dh(−1), [B, H], after a backward to the initial states.
  func dInitialHidden(_ pass: Pass) -> MatrixView
  /// dL/dc(−1), [B, H]; LSTM only.
  func dInitialCell(_ pass: Pass) -> MatrixView?
}

extension RecurrentCell {
  package var cellState: StateTape? { nil }

  /// Carries the final states over to the next batch.
  package func carry(_ pass: Pass) {
    hidden.carry(pass)
    cellState?.carry(pass)
  }
}

extension RecurrentCellBackward {
  package func dInitialCell(_ pass: Pass) -> MatrixView? { nil }

  /// Backpropagates; states 0 are constants (truncation).
  ///
  /// - Parameters:
  ///   - dOutput: [T·B, H].
  ///   - toInitialStates: whether ``dInitialHidden(_:)`` and ``dInitialCell(_:)`` are wanted, which truncated
  ///     backpropagation drops.
  /// - Returns: the gradient of the input's share of the pre-activations, [T·B, gates·H].
  package func backward(dOutput: MatrixView, toInitialStates: Bool, _ pass: Pass) throws -> MatrixView {
    let (dHidden, dCell, dGates) = (dInitialHidden(pass), dInitialCell(pass), dGates(pass))
    dHidden.fill(0)
    dCell?.fill(0)
    for t in (0..<pass.steps).reversed() {
      workspace.enter(.gates)
      try differentiate(step: t, dOutput: dOutput.rows(pass.rows(of: t)), pass)
      workspace.probe?.visit("gradient of the gates of \(layerName)", dGates.rows(pass.rows(of: t)), timeStep: t)
      if let dCell { workspace.probe?.visit("gradient of the cell state of \(layerName)", dCell, timeStep: t) }
      if t == 0 && !toInitialStates { break }
      workspace.enter(.recurrentProducts)
      try propagate(step: t, into: dHidden, pass)
      workspace.probe?.visit("gradient of the hidden state of \(layerName)", dHidden, timeStep: t)
    }
    return dGates
  }
}

/// b_ih + b_hh, for cells that add both in one place.
struct SummedBias {
  private let values: FloatBuffer
  private let parameters: CellParameters

  init(_ parameters: CellParameters) throws {
    self.parameters = parameters
    values = try FloatBuffer(count: parameters.gateColumns)
  }

  /// Reads both parameters and returns their sum, [gates·H].
  func read(_ weights: PackedParameters, _ pass: Pass) throws -> UnsafePointer<Float> {
    try pass.observer.willRead(parameters.inputBias)
    try pass.observer.willRead(parameters.hiddenBias)
    weights.arithmetic.sum(
      weights.floats(parameters.inputBias), weights.floats(parameters.hiddenBias), into: values.pointer,
      count: values.count)
    return UnsafePointer(values.pointer)
  }
}
