import Interfaces
import Kernels
import Parameters

/// Elman cells (Elman 1990): h = activation(W_ih x + b_ih + W_hh h + b_hh).
///
/// Tape, in floats per batch: H·(T + 1)·B of hidden states and, for training, H·T·B of gradients.
final class ElmanCell: RecurrentCell {
  let parameters: CellParameters
  let hidden: StateTape
  let workspace: Workspace
  let weights: PackedParameters
  let activation: Activation
  private let bias: SummedBias
  private let recurrent: any RowProduct
  private let steps: Int

  init(
    _ parameters: CellParameters, _ weights: PackedParameters, activation: Activation, steps: Int, sequences: Int,
    _ workspace: Workspace
  ) throws {
    (self.parameters, self.weights, self.activation) = (parameters, weights, activation)
    (self.workspace, self.steps) = (workspace, steps)
    bias = try SummedBias(parameters)
    recurrent = try weights.recurrentProduct(parameters.hiddenWeight, workspace.jointProducts)
    hidden = try StateTape(steps: steps, sequences: sequences, size: parameters.hiddenSize)
  }

  /// The pre-activations are computed where the hidden states will stand.
  func inputGates(_ pass: Pass) -> MatrixView { hidden.after(pass) }

  func forward(_ pass: Pass) throws {
    let bias = try bias.read(weights, pass)
    try pass.observer.willRead(parameters.hiddenWeight)
    for t in 0..<pass.steps {
      let output = hidden.states(t + 1, pass.sequences)
      workspace.enter(.recurrentProducts)
      try recurrent.multiply(hidden.states(t, pass.sequences), into: output, accumulating: true)
      workspace.probe?.visit("recurrent product of \(parameters.layerName)", output, timeStep: t)
      workspace.enter(.gates)
      activation.forward(output, bias: bias, weights.arithmetic)
      workspace.probe?.visit("hidden state of \(parameters.layerName)", output, timeStep: t)
    }
  }

  func makeBackward(_ weights: PackedParameters, sequences: Int, _ addends: inout AddendList) throws
    -> any RecurrentCellBackward
  {
    try ElmanCellBackward(self, weights, steps: steps, sequences: sequences, &addends)
  }
}

/// The backward pass of ``ElmanCell``.
final class ElmanCellBackward: RecurrentCellBackward {
  private let cell: ElmanCell
  private let product: any RowProduct
  private let addends: SharedBiasAddends
  private let dValues: FloatBuffer  // [T·B, H]
  private let dHidden: FloatBuffer  // [B, H]

  init(
    _ cell: ElmanCell, _ weights: PackedParameters, steps: Int, sequences: Int, _ addends: inout AddendList
  ) throws {
    let size = cell.parameters.hiddenSize
    self.cell = cell
    product = try weights.recurrentBackwardProduct(cell.parameters.hiddenWeight, cell.workspace.jointProducts)
    self.addends = SharedBiasAddends(cell.parameters, &addends)
    dValues = try FloatBuffer(count: steps * sequences * size)
    dHidden = try FloatBuffer(count: sequences * size)
  }

  func dInitialHidden(_ pass: Pass) -> MatrixView { dHidden.matrix(pass.sequences, cell.parameters.hiddenSize) }

  var workspace: Workspace { cell.workspace }
  var layerName: String { cell.parameters.layerName }
  func dGates(_ pass: Pass) -> MatrixView { dValues.matrix(pass.rows, cell.parameters.hiddenSize) }

  func differentiate(step t: Int, dOutput: MatrixView, _ pass: Pass) throws {
    cell.activation.backward(
      dValues: dGates(pass).rows(pass.rows(of: t)), outputs: cell.hidden.states(t + 1, pass.sequences),
      dOutput: dOutput, dHidden: dInitialHidden(pass), cell.weights.arithmetic)
  }

  func propagate(step t: Int, into dHidden: MatrixView, _ pass: Pass) throws {
    try product.multiply(dGates(pass).rows(pass.rows(of: t)), into: dHidden)
  }

  func writeGradients(inputBias: Int, _ pass: BackwardPass) throws {
    pass.write(
      outputs: dGates(pass.forward), inputs: cell.hidden.before(pass.forward), rows: pass.rows,
      weight: addends.hiddenWeight)
    try addends.finish(inputBias: inputBias, pass, cell.workspace)
  }
}
