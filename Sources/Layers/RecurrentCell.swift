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

  /// Where x·W_ihᵀ goes before ``forward(_:)``, [rows, gates·H].
  func inputGates(_ pass: Pass) -> MatrixView

  /// Runs the time steps from states 0.
  func forward(_ pass: Pass) throws

  /// The backward pass, for training.
  ///
  /// - Parameter addends: takes what the backward pass completes after the input's own addends.
  func makeBackward(_ weights: PackedParameters, sequences: Int, _ addends: inout AddendList) throws
    -> any RecurrentCellBackward
}

/// dL/dh and, for an LSTM, dL/dc: a row for each sequence.
package struct StateGradients {
  package let hidden: MatrixView
  package let cell: MatrixView?

  package init(hidden: MatrixView, cell: MatrixView? = nil) { (self.hidden, self.cell) = (hidden, cell) }

  /// Those of some sequences.
  func rows(_ range: Range<Int>) -> StateGradients {
    StateGradients(hidden: hidden.rows(range), cell: cell?.rows(range))
  }
}

/// The states at whose ends gradients come in and go out.
package struct StateFlow: OptionSet, Sendable {
  package let rawValue: Int
  package init(rawValue: Int) { self.rawValue = rawValue }

  /// dL/d(states after the last step of each sequence) is given; otherwise it is zero.
  package static let fromFinal = StateFlow(rawValue: 1)
  /// dL/d(states before the first step) is wanted; truncated backpropagation drops it.
  package static let toInitial = StateFlow(rawValue: 2)
}

/// Backpropagation through the time steps of a ``RecurrentCell``: a cell says what one step does.
package protocol RecurrentCellBackward: AnyObject {
  var workspace: Workspace { get }
  /// As messages name the layer.
  var layerName: String { get }

  /// The gradient of the input's share of the pre-activations, [rows, gates·H].
  func dGates(_ pass: Pass) -> MatrixView

  /// The gradients of the states, [B, H]: before a backward pass of the final ones, after it of the initial ones.
  func dStates(_ pass: Pass) -> StateGradients

  /// Computes the gates' gradients of time step `t`.
  ///
  /// - Parameters:
  ///   - dOutput: what the layer above adds to dL/dh(t).
  ///   - dStates: in: dL/dh(t) without that, and dL/dc(t); out: the part of dL/dh(t−1) that passes through no product, and
  ///     dL/dc(t−1).
  func differentiate(step t: Int, dOutput: MatrixView, _ dStates: StateGradients, _ pass: Pass) throws

  /// Completes dL/dh(t−1) by the product that leads from the gates of time step `t` to the state before.
  func propagate(step t: Int, into dHidden: MatrixView, _ pass: Pass) throws

  /// Writes and announces the gradients of W_hh and b_hh.
  ///
  /// - Parameter inputBias: the addend of b_ih, which is final already.
  func writeGradients(inputBias: Int, _ pass: BackwardPass) throws
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
  /// Backpropagates through all time steps.
  ///
  /// - Parameters:
  ///   - dOutput: [rows, H].
  ///   - flow: the gradients of states that ``dStates(_:)`` holds before and after.
  /// - Returns: the gradient of the input's share of the pre-activations, [rows, gates·H].
  package func backward(dOutput: MatrixView, _ flow: StateFlow, _ pass: Pass) throws -> MatrixView {
    let (all, dGates) = (dStates(pass), dGates(pass))
    if !flow.contains(.fromFinal) {
      all.hidden.fill(0)
      all.cell?.fill(0)
    }
    for t in (0..<pass.steps).reversed() {
      let rows = pass.rows(of: t)
      // The others have ended: theirs is still the gradient of the final state.
      let dStates = all.rows(0..<rows.count)
      workspace.enter(.gates)
      try differentiate(step: t, dOutput: dOutput.rows(rows), dStates, pass)
      workspace.probe?.visit("gradient of the gates of \(layerName)", dGates.rows(rows), timeStep: t)
      if let dCell = dStates.cell {
        workspace.probe?.visit("gradient of the cell state of \(layerName)", dCell, timeStep: t)
      }
      if t == 0 && !flow.contains(.toInitial) { break }
      workspace.enter(.recurrentProducts)
      try propagate(step: t, into: dStates.hidden, pass)
      workspace.probe?.visit("gradient of the hidden state of \(layerName)", dStates.hidden, timeStep: t)
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
