import Interfaces
import Kernels
import Parameters

/// GRU cells whose reset gate acts before the product (Cho et al. 2014); gate order r z n. Two products follow one another
/// in each time step, h·W_{r,z}ᵀ and then (r ⊙ h)·W_nᵀ.
///
/// Tape, in floats per batch: 3H·rows of gates, H·rows of r ⊙ h, and H·(rows + B) of hidden states.
final class ResetBeforeGRUCell: RecurrentCell {
  let parameters: CellParameters
  let hidden: StateTape
  let workspace: Workspace
  private let weights: PackedParameters
  private let recurrent: any RowProduct
  private let candidate: any RowProduct
  private let gates: FloatBuffer  // [rows, 3H]
  private let resetHidden: FloatBuffer  // [rows, H]
  private let dense: FloatBuffer  // [B, 2H] or [B, H]: columns of the gates, without gaps

  init(
    _ parameters: CellParameters, _ weights: PackedParameters, rows: Int, sequences: Int, _ workspace: Workspace
  ) throws {
    let size = parameters.hiddenSize
    (self.parameters, self.weights, self.workspace) = (parameters, weights, workspace)
    recurrent = try weights.recurrentProduct(parameters.hiddenWeight, part: 0, workspace.jointProducts)
    candidate = try weights.recurrentProduct(parameters.hiddenWeight, part: 1, workspace.jointProducts)
    hidden = try StateTape(rows: rows, sequences: sequences, size: size)
    gates = try FloatBuffer(count: rows * 3 * size)
    resetHidden = try FloatBuffer(count: rows * size)
    dense = try FloatBuffer(count: sequences * 2 * size)
  }

  /// The columns of r and z, and their rows in W_hh.
  var resetAndUpdate: Range<Int> { 0..<(2 * parameters.hiddenSize) }
  /// The columns of n, and its rows in W_hh.
  var newState: Range<Int> { (2 * parameters.hiddenSize)..<(3 * parameters.hiddenSize) }

  func inputGates(_ pass: Pass) -> MatrixView { gates.matrix(pass.rows, 3 * parameters.hiddenSize) }

  /// r ⊙ h(t−1), [rows, H].
  func resetHidden(_ pass: Pass) -> MatrixView { resetHidden.matrix(pass.rows, parameters.hiddenSize) }

  /// The elementwise part of time step `t`.
  func step(_ t: Int, _ pass: Pass) -> GRUStep {
    GRUStep(
      inputGates: inputGates(pass).rows(pass.rows(of: t)), hiddenBefore: hidden.before(step: t, pass),
      resetHidden: resetHidden(pass).rows(pass.rows(of: t)), weights.arithmetic)
  }

  /// A copy of columns of the gates without gaps, which products need; valid until the next.
  func dense(_ columns: MatrixView) -> MatrixView {
    let copy = dense.matrix(columns.rows, columns.columns)
    copy.update(from: columns)
    return copy
  }

  /// columns += x·W
  private func add(_ product: any RowProduct, _ x: MatrixView, to columns: MatrixView) throws {
    let y = dense.matrix(columns.rows, columns.columns)
    try product.multiply(x, into: y)
    weights.arithmetic.add(y, to: columns)
  }

  func forward(_ pass: Pass) throws {
    let biases = try GRUBiases(parameters, weights, pass)
    try pass.observer.willRead(parameters.hiddenWeight)
    for t in 0..<pass.steps {
      let step = step(t, pass)
      let rows = pass.rows(of: t)
      workspace.enter(.recurrentProducts)
      try add(recurrent, hidden.before(step: t, pass), to: step.inputGates.columns(resetAndUpdate))
      workspace.enter(.gates)
      step.forwardResetBeforeGates(biases)
      workspace.enter(.recurrentProducts)
      try add(candidate, resetHidden(pass).rows(rows), to: step.inputGates.columns(newState))
      workspace.enter(.gates)
      step.forwardResetBeforeOutput(biases, hidden: hidden.after(step: t, pass))
      workspace.probe?.visit("gates of \(parameters.layerName)", step.inputGates, timeStep: t)
      workspace.probe?.visit(
        "hidden state of \(parameters.layerName)", hidden.after(step: t, pass), timeStep: t)
    }
  }

  func makeBackward(_ weights: PackedParameters, sequences: Int, _ addends: inout AddendList) throws
    -> any RecurrentCellBackward
  {
    try ResetBeforeGRUCellBackward(self, weights, sequences: sequences, &addends)
  }
}

/// The backward pass of ``ResetBeforeGRUCell``.
final class ResetBeforeGRUCellBackward: RecurrentCellBackward {
  private let cell: ResetBeforeGRUCell
  private let recurrent: any RowProduct
  private let candidate: any RowProduct
  private let addends: SharedBiasAddends
  private let dResetHidden: FloatBuffer  // [B, H]
  private let dHidden: FloatBuffer  // [B, H]

  init(_ cell: ResetBeforeGRUCell, _ weights: PackedParameters, sequences: Int, _ addends: inout AddendList) throws {
    let parameters = cell.parameters
    self.cell = cell
    recurrent = try weights.recurrentBackwardProduct(
      parameters.hiddenWeight, part: 0, cell.workspace.jointProducts)
    candidate = try weights.recurrentBackwardProduct(
      parameters.hiddenWeight, part: 1, cell.workspace.jointProducts)
    self.addends = SharedBiasAddends(parameters, &addends)
    dResetHidden = try FloatBuffer(count: sequences * parameters.hiddenSize)
    dHidden = try FloatBuffer(count: sequences * parameters.hiddenSize)
  }

  func dStates(_ pass: Pass) -> StateGradients {
    StateGradients(hidden: dHidden.matrix(pass.sequences, cell.parameters.hiddenSize))
  }

  var workspace: Workspace { cell.workspace }
  var layerName: String { cell.parameters.layerName }
  func dGates(_ pass: Pass) -> MatrixView { cell.inputGates(pass) }

  func differentiate(step t: Int, dOutput: MatrixView, _ dStates: StateGradients, _ pass: Pass) throws {
    let (step, dHidden) = (cell.step(t, pass), dStates.hidden)
    let dResetHidden = dResetHidden.matrix(dHidden.rows, cell.parameters.hiddenSize)
    step.backwardResetBeforeOutput(dOutput: dOutput, dHidden: dHidden, dHiddenBefore: dHidden)
    workspace.enter(.recurrentProducts)
    try candidate.multiply(cell.dense(step.inputGates.columns(cell.newState)), into: dResetHidden)
    workspace.enter(.gates)
    step.backwardResetBeforeGates(dResetHidden: dResetHidden, dHiddenBefore: dHidden)
  }

  func propagate(step t: Int, into dHidden: MatrixView, _ pass: Pass) throws {
    let gates = dGates(pass).rows(pass.rows(of: t))
    try recurrent.multiply(cell.dense(gates.columns(cell.resetAndUpdate)), into: dHidden, accumulating: true)
  }

  func writeGradients(inputBias: Int, _ pass: BackwardPass) throws {
    let dGates = cell.inputGates(pass.forward)
    pass.write(
      outputs: dGates.columns(cell.resetAndUpdate), statesBefore: cell.hidden,
      weight: addends.hiddenWeight, part: cell.resetAndUpdate)
    pass.write(
      outputs: dGates.columns(cell.newState), inputs: cell.resetHidden(pass.forward), rows: pass.rows,
      weight: addends.hiddenWeight, part: cell.newState)
    try addends.finish(inputBias: inputBias, pass, cell.workspace)
  }
}
