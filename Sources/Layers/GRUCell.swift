import Interfaces
import Kernels
import Parameters

/// GRU cells whose reset gate acts after the product (PyTorch, cuDNN); gate order r z n.
///
/// Tape, in floats per batch: 2·3H·rows of gates (the input's and the hidden state's shares have gradients of their own),
/// and H·(rows + B) of hidden states.
final class GRUCell: RecurrentCell {
  let parameters: CellParameters
  let hidden: StateTape
  let workspace: Workspace
  private let weights: PackedParameters
  private let recurrent: any RowProduct
  private let inputGates: FloatBuffer  // [rows, 3H]
  private let hiddenGates: FloatBuffer  // [rows, 3H]

  init(
    _ parameters: CellParameters, _ weights: PackedParameters, rows: Int, sequences: Int, _ workspace: Workspace
  ) throws {
    (self.parameters, self.weights, self.workspace) = (parameters, weights, workspace)
    recurrent = try weights.recurrentProduct(parameters.hiddenWeight, workspace.jointProducts)
    hidden = try StateTape(rows: rows, sequences: sequences, size: parameters.hiddenSize)
    inputGates = try FloatBuffer(count: rows * parameters.gateColumns)
    hiddenGates = try FloatBuffer(count: rows * parameters.gateColumns)
  }

  func inputGates(_ pass: Pass) -> MatrixView { inputGates.matrix(pass.rows, parameters.gateColumns) }

  /// The hidden state's share of the pre-activations, [rows, 3H].
  func hiddenGates(_ pass: Pass) -> MatrixView { hiddenGates.matrix(pass.rows, parameters.gateColumns) }

  /// The elementwise part of time step `t`.
  func step(_ t: Int, _ pass: Pass) -> GRUStep {
    GRUStep(
      inputGates: inputGates(pass).rows(pass.rows(of: t)), hiddenGates: hiddenGates(pass).rows(pass.rows(of: t)),
      hiddenBefore: hidden.before(step: t, pass), weights.arithmetic)
  }

  func forward(_ pass: Pass) throws {
    let biases = try GRUBiases(parameters, weights, pass)
    try pass.observer.willRead(parameters.hiddenWeight)
    for t in 0..<pass.steps {
      let gates = hiddenGates(pass).rows(pass.rows(of: t))
      let output = hidden.after(step: t, pass)
      workspace.enter(.recurrentProducts)
      try recurrent.multiply(hidden.before(step: t, pass), into: gates)
      workspace.probe?.visit("recurrent product of \(parameters.layerName)", gates, timeStep: t)
      workspace.enter(.gates)
      let step = step(t, pass)
      step.forwardResetAfter(biases, hidden: output)
      workspace.probe?.visit("gates of \(parameters.layerName)", step.inputGates, timeStep: t)
      workspace.probe?.visit("hidden state of \(parameters.layerName)", output, timeStep: t)
    }
  }

  func makeBackward(_ weights: PackedParameters, sequences: Int, _ addends: inout AddendList) throws
    -> any RecurrentCellBackward
  {
    try GRUCellBackward(self, weights, sequences: sequences, &addends)
  }
}

extension GRUBiases {
  /// Reads both biases of a layer, which the cell adds in two places.
  init(_ parameters: CellParameters, _ weights: PackedParameters, _ pass: Pass) throws {
    try pass.observer.willRead(parameters.inputBias)
    try pass.observer.willRead(parameters.hiddenBias)
    self.init(input: weights.floats(parameters.inputBias), hidden: weights.floats(parameters.hiddenBias))
  }
}

/// The backward pass of ``GRUCell``.
final class GRUCellBackward: RecurrentCellBackward {
  private let cell: GRUCell
  private let product: any RowProduct
  private let hiddenWeight: Int
  private let hiddenBias: Int
  private let dHidden: FloatBuffer  // [B, H]

  init(_ cell: GRUCell, _ weights: PackedParameters, sequences: Int, _ addends: inout AddendList) throws {
    self.cell = cell
    product = try weights.recurrentBackwardProduct(cell.parameters.hiddenWeight, cell.workspace.jointProducts)
    hiddenWeight = addends.enroll(cell.parameters.hiddenWeight)
    hiddenBias = addends.enroll(cell.parameters.hiddenBias)
    dHidden = try FloatBuffer(count: sequences * cell.parameters.hiddenSize)
  }

  func dStates(_ pass: Pass) -> StateGradients {
    StateGradients(hidden: dHidden.matrix(pass.sequences, cell.parameters.hiddenSize))
  }

  var workspace: Workspace { cell.workspace }
  var layerName: String { cell.parameters.layerName }
  func dGates(_ pass: Pass) -> MatrixView { cell.inputGates(pass) }

  func differentiate(step t: Int, dOutput: MatrixView, _ dStates: StateGradients, _ pass: Pass) throws {
    cell.step(t, pass).backwardResetAfter(
      dOutput: dOutput, dHidden: dStates.hidden, dHiddenBefore: dStates.hidden)
  }

  func propagate(step t: Int, into dHidden: MatrixView, _ pass: Pass) throws {
    try product.multiply(cell.hiddenGates(pass).rows(pass.rows(of: t)), into: dHidden, accumulating: true)
  }

  func writeGradients(inputBias: Int, _ pass: BackwardPass) throws {
    pass.write(
      outputs: cell.hiddenGates(pass.forward), statesBefore: cell.hidden,
      weight: hiddenWeight, bias: hiddenBias)
    try pass.finish(hiddenWeight, cell.workspace)
    try pass.finish(hiddenBias, cell.workspace)
  }
}
