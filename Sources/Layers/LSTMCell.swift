import Interfaces
import Kernels
import Parameters

/// LSTM cells. Hochreiter & Schmidhuber 1997 with forget gate (Gers et al. 2000); gate order as in PyTorch: i f g o.
///
/// Tape, in floats per batch: 4H·rows of gates (activations, then gradients in their place), and H·(rows + B) each of hidden
/// and cell states. tanh(c) is recomputed in backward.
final class LSTMCell: RecurrentCell {
  let parameters: CellParameters
  let hidden: StateTape
  let cells: StateTape
  let workspace: Workspace
  private let weights: PackedParameters
  private let bias: SummedBias
  private let recurrent: any RowProduct
  private let gates: FloatBuffer  // [rows, 4H]

  var cellState: StateTape? { cells }

  init(
    _ parameters: CellParameters, _ weights: PackedParameters, rows: Int, sequences: Int, _ workspace: Workspace
  ) throws {
    let size = parameters.hiddenSize
    (self.parameters, self.weights, self.workspace) = (parameters, weights, workspace)
    bias = try SummedBias(parameters)
    recurrent = try weights.recurrentProduct(parameters.hiddenWeight, workspace.jointProducts)
    hidden = try StateTape(rows: rows, sequences: sequences, size: size)
    cells = try StateTape(rows: rows, sequences: sequences, size: size)
    gates = try FloatBuffer(count: rows * 4 * size)
  }

  func inputGates(_ pass: Pass) -> MatrixView { gates.matrix(pass.rows, parameters.gateColumns) }

  /// The elementwise part of time step `t`, and its gates, [B, 4H].
  func step(_ t: Int, _ pass: Pass) -> LSTMStep {
    LSTMStep(
      gates: inputGates(pass).rows(pass.rows(of: t)), cellBefore: cells.before(step: t, pass),
      cell: cells.after(step: t, pass), weights.arithmetic)
  }

  func forward(_ pass: Pass) throws {
    let bias = try bias.read(weights, pass)
    try pass.observer.willRead(parameters.hiddenWeight)
    for t in 0..<pass.steps {
      let step = step(t, pass)
      let output = hidden.after(step: t, pass)
      workspace.enter(.recurrentProducts)
      try recurrent.multiply(hidden.before(step: t, pass), into: step.gates, accumulating: true)
      workspace.probe?.visit("recurrent product of \(parameters.layerName)", step.gates, timeStep: t)
      workspace.enter(.gates)
      step.forward(bias: bias, hidden: output)
      if let probe = workspace.probe {
        probe.visit("gates of \(parameters.layerName)", step.gates, timeStep: t)
        probe.visit("cell state of \(parameters.layerName)", step.cell, timeStep: t)
        probe.visit("hidden state of \(parameters.layerName)", output, timeStep: t)
      }
    }
  }

  func makeBackward(_ weights: PackedParameters, sequences: Int, _ addends: inout AddendList) throws
    -> any RecurrentCellBackward
  {
    try LSTMCellBackward(self, weights, sequences: sequences, &addends)
  }
}

/// The backward pass of ``LSTMCell``.
final class LSTMCellBackward: RecurrentCellBackward {
  private let cell: LSTMCell
  private let product: any RowProduct
  private let addends: SharedBiasAddends
  private let dHidden: FloatBuffer  // [B, H]
  private let dCell: FloatBuffer  // [B, H]

  init(_ cell: LSTMCell, _ weights: PackedParameters, sequences: Int, _ addends: inout AddendList) throws {
    let parameters = cell.parameters
    self.cell = cell
    product = try weights.recurrentBackwardProduct(parameters.hiddenWeight, cell.workspace.jointProducts)
    self.addends = SharedBiasAddends(parameters, &addends)
    dHidden = try FloatBuffer(count: sequences * parameters.hiddenSize)
    dCell = try FloatBuffer(count: sequences * parameters.hiddenSize)
  }

  func dStates(_ pass: Pass) -> StateGradients {
    let size = cell.parameters.hiddenSize
    return StateGradients(
      hidden: dHidden.matrix(pass.sequences, size), cell: dCell.matrix(pass.sequences, size))
  }

  var workspace: Workspace { cell.workspace }
  var layerName: String { cell.parameters.layerName }
  func dGates(_ pass: Pass) -> MatrixView { cell.inputGates(pass) }

  func differentiate(step t: Int, dOutput: MatrixView, _ dStates: StateGradients, _ pass: Pass) throws {
    guard let dCell = dStates.cell else { preconditionFailure("an LSTM without dL/dc") }
    cell.step(t, pass).backward(dOutput: dOutput, dHidden: dStates.hidden, dCell: dCell)
  }

  func propagate(step t: Int, into dHidden: MatrixView, _ pass: Pass) throws {
    try product.multiply(dGates(pass).rows(pass.rows(of: t)), into: dHidden)
  }

  func writeGradients(inputBias: Int, _ pass: BackwardPass) throws {
    pass.write(
      outputs: cell.inputGates(pass.forward), statesBefore: cell.hidden,
      weight: addends.hiddenWeight)
    try addends.finish(inputBias: inputBias, pass, cell.workspace)
  }
}

/// The addends of W_hh and b_hh in cells that add both biases in one place, so that these have the same gradient.
struct SharedBiasAddends {
  let hiddenWeight: Int
  private let hiddenBias: Int

  init(_ parameters: CellParameters, _ addends: inout AddendList) {
    hiddenWeight = addends.enroll(parameters.hiddenWeight)
    hiddenBias = addends.enroll(parameters.hiddenBias)
  }

  /// Announces both, W_hh's gradient having been written.
  func finish(inputBias: Int, _ pass: BackwardPass, _ workspace: Workspace) throws {
    try pass.finish(hiddenWeight, workspace)
    pass.copy(hiddenBias, from: inputBias)
    try pass.finish(hiddenBias, workspace)
  }
}
