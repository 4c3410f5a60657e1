import Interfaces
import Kernels
import Parameters

/// Elman cells (Elman 1990): h = activation(W_ih x + b_ih + W_hh h + b_hh).
///
/// Tape, in floats per batch: H·(rows + B) of hidden states and, for training, H·rows of gradients.
final class ElmanCell: RecurrentCell {
  let parameters: CellParameters
  let hidden: StateTape
  let workspace: Workspace
  let weights: PackedParameters
  let activation: Activation
  private let bias: SummedBias
  private let recurrent: any RowProduct
  private let rows: Int

  init(
    _ parameters: CellParameters, _ weights: PackedParameters, activation: Activation, rows: Int, sequences: Int,
    _ workspace: Workspace
  ) throws {
    (self.parameters, self.weights, self.activation) = (parameters, weights, activation)
    (self.workspace, self.rows) = (workspace, rows)
    bias = try SummedBias(parameters)
    recurrent = try weights.recurrentProduct(parameters.hiddenWeight, workspace.jointProducts)
    hidden = try StateTape(rows: rows, sequences: sequences, size: parameters.hiddenSize)
  }

  /// The pre-activations are computed where the hidden states will stand.
  func inputGates(_ pass: Pass) -> MatrixView { hidden.after(pass) }

  func forward(_ pass: Pass) throws {
    let bias = try bias.read(weights, pass)
    try pass.observer.willRead(parameters.hiddenWeight)
    for t in 0..<pass.steps {
      let output = hidden.after(step: t, pass)
      workspace.enter(.recurrentProducts)
      try recurrent.multiply(hidden.before(step: t, pass), into: output, accumulating: true)
      workspace.probe?.visit("recurrent product of \(parameters.layerName)", output, timeStep: t)
      workspace.enter(.gates)
      activation.forward(output, bias: bias, weights.arithmetic)
      workspace.probe?.visit("hidden state of \(parameters.layerName)", output, timeStep: t)
    }
  }

  func makeBackward(_ weights: PackedParameters, sequences: Int, _ addends: inout AddendList) throws
    -> any RecurrentCellBackward
  {
    try ElmanCellBackward(self, weights, rows: rows, sequences: sequences, &addends)
  }
}

/// The backward pass of ``ElmanCell``.
final class ElmanCellBackward: RecurrentCellBackward {
  private let cell: ElmanCell
  private let product: any RowProduct
  private let addends: SharedBiasAddends
  private let dValues: FloatBuffer  // [rows, H]
  private let dHidden: FloatBuffer  // [B, H]

  init(
    _ cell: ElmanCell, _ weights: PackedParameters, rows: Int, sequences: Int, _ addends: inout AddendList
  ) throws {
    let size = cell.parameters.hiddenSize
    self.cell = cell
    product = try weights.recurrentBackwardProduct(cell.parameters.hiddenWeight, cell.workspace.jointProducts)
    self.addends = SharedBiasAddends(cell.parameters, &addends)
    dValues = try FloatBuffer(count: rows * size)
    dHidden = try FloatBuffer(count: sequences * size)
  }

  func dStates(_ pass: Pass) -> StateGradients {
    StateGradients(hidden: dHidden.matrix(pass.sequences, cell.parameters.hiddenSize))
  }

  var workspace: Workspace { cell.workspace }
  var layerName: String { cell.parameters.layerName }
  func dGates(_ pass: Pass) -> MatrixView { dValues.matrix(pass.rows, cell.parameters.hiddenSize) }

  func differentiate(step t: Int, dOutput: MatrixView, _ dStates: StateGradients, _ pass: Pass) throws {
    cell.activation.backward(
      dValues: dGates(pass).rows(pass.rows(of: t)), outputs: cell.hidden.after(step: t, pass),
      dOutput: dOutput, dHidden: dStates.hidden, cell.weights.arithmetic)
  }

  func propagate(step t: Int, into dHidden: MatrixView, _ pass: Pass) throws {
    try product.multiply(dGates(pass).rows(pass.rows(of: t)), into: dHidden)
  }

  func writeGradients(inputBias: Int, _ pass: BackwardPass) throws {
    pass.write(
      outputs: dGates(pass.forward), statesBefore: cell.hidden,
      weight: addends.hiddenWeight)
    try addends.finish(inputBias: inputBias, pass, cell.workspace)
  }
}
