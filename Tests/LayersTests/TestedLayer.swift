import Interfaces
import Kernels
import Layers
import Parameters
import ReferenceModels
import Sharding

/// Every cell that a configuration can ask for.
let allCells: [Cell] = [
  .lstm, .gru(.after), .gru(.before), .elman(.tanh), .elman(.relu), .elman(.sigmoid),
]

/// One layer with random weights and its gradients, whose every stream is a gradient shard.
final class TestedLayer {
  let parameters: CellParameters
  let cell: any RecurrentCell
  private let weights: PackedParameters
  private let input: DenseInput
  private let inputBackward: DenseInputBackward
  private let cellBackward: any RecurrentCellBackward
  private let gradient: SubtreeGradient
  private let plan: BatchPlan
  private let dX: FloatBuffer
  private(set) var pass: Pass

  init(_ cell: Cell, input inputSize: Int, hidden: Int, steps: Int, streams: Int) throws {
    var layout = ParameterLayout()
    parameters = CellParameters(
      cell, prefix: "rnn", layer: 0, inputSize: inputSize, hiddenSize: hidden, &layout)
    weights = try PackedParameters(layout, .best, needsBackward: true)
    Initialization.uniform(range: 0.5).fill(weights.store, hiddenSize: hidden, seed: 1)
    weights.pack()
    let workspace = Workspace()
    self.cell = try parameters.makeCell(weights, rows: steps * streams, sequences: streams, workspace)
    input = DenseInput([parameters], weights, workspace)
    var addends = AddendList()
    inputBackward = DenseInputBackward(input, weights, &addends)
    cellBackward = try self.cell.makeBackward(weights, sequences: streams, &addends)
    plan = BatchPlan(window: steps, sequences: streams, shards: streams)
    gradient = try SubtreeGradient(addends.addends, plan, plan.tree.root, memory: FloatBuffer.init(count:))
    dX = try FloatBuffer(count: steps * streams * inputSize)
    pass = Pass(TimeMajorRows(steps: 0, sequences: streams), keys: [], observer: SettledWeights())
  }

  /// The naive twin with the same weights.
  var twin: ReferenceCell {
    func values(_ parameter: Parameter) -> [Double] { weights.store[parameter].map { Double($0) } }
    return ReferenceCell(
      parameters.cell, inputWeight: values(parameters.inputWeight), hiddenWeight: values(parameters.hiddenWeight),
      inputBias: values(parameters.inputBias), hiddenBias: values(parameters.hiddenBias))
  }

  func forward(_ x: MatrixView, steps: Int) throws -> MatrixView {
    pass = Pass(TimeMajorRows(steps: steps, sequences: plan.sequences), keys: [], observer: SettledWeights())
    input.x = x
    try input.forward(into: cell.inputGates(pass), direction: 0, pass)
    try cell.forward(pass)
    return cell.hidden.after(pass)
  }

  /// Returns dL/dx.
  func backward(dOutput: MatrixView, _ flow: StateFlow) throws -> [Float] {
    let rows = plan.rowLists(of: 0)
    plan.list(rows, of: 0, count: plan.sequences, pass.layout)
    let columns = max(parameters.hiddenSize, parameters.inputWeight.columns)
    let backward = BackwardPass(
      pass, gradients: [gradient], rows: rows, product: try WeightGradient(rows: pass.rows, columns: columns, .best))
    let dGates = try cellBackward.backward(dOutput: dOutput, flow, pass)
    let dX = try inputBackward.backward([dGates], dX: dX, backward)
    try cellBackward.writeGradients(inputBias: inputBackward.biases[0], backward)
    return Array(UnsafeBufferPointer(start: dX.pointer, count: dX.rows * dX.columns))
  }

  var dInitialHidden: [Float] { values(cellBackward.dStates(pass).hidden) }
  var dInitialCell: [Float]? { cellBackward.dStates(pass).cell.map(values) }

  func gradient(_ parameter: Parameter) -> [Float] {
    guard let addend = gradient.addends.firstIndex(where: { $0.parameter == parameter }) else { return [] }
    return Array(gradient.values[addend].buffer)
  }

  /// All of them, in the order in which they are completed.
  var gradients: [Float] { gradient.values.flatMap { Array($0.buffer) } }

  private func values(_ matrix: MatrixView) -> [Float] {
    Array(UnsafeBufferPointer(start: matrix.pointer, count: matrix.rows * matrix.columns))
  }
}
