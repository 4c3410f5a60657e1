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

/// Backpropagation through the time steps of a ``RecurrentCell``.
package protocol RecurrentCellBackward: AnyObject {
  /// Backpropagates; states 0 are constants (truncation).
  ///
  /// - Parameters:
  ///   - dOutput: [T·B, H].
  ///   - toInitialStates: whether ``dInitialHidden`` and ``dInitialCell`` are wanted, which truncated backpropagation
  ///     drops.
  /// - Returns: the gradient of the input's share of the pre-activations, [T·B, gates·H].
  func backward(dOutput: MatrixView, toInitialStates: Bool, _ pass: Pass) throws -> MatrixView

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
