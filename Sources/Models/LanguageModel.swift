import Interfaces
import Kernels
import Layers
import Parameters
import Sharding

/// A language model in training, of one worker: truncated backpropagation through time over its token streams.
///
/// The weights may be shared with other workers; everything else belongs to this one.
package final class LanguageModel: TrainableModel {
  package let addends: [Addend]
  package let gradients: [SubtreeGradient]
  private let workspace: Workspace
  private let input: TokenInput
  private let inputBackward: TokenInputBackward
  private let stack: RecurrentStack
  private let stackBackward: RecurrentStackBackward
  private let output: any OutputLayer
  private let product: WeightGradient

  /// - Parameter chunkFloats: see ``FullSoftmaxLoss``.
  package init(
    _ architecture: LanguageArchitecture, _ weights: PackedParameters, _ plan: BatchPlan, rank: Int,
    memory: FloatMemory = FloatBuffer.init(count:), chunkFloats: Int? = nil, _ workspace: Workspace = Workspace()
  ) throws {
    // The workers' threads, which share the weights, have one model each.
    Arithmetic.flushDenormals()
    self.workspace = workspace
    let (rows, sequences) = (plan.mostRows(of: rank), plan.sequences(of: rank).count)
    let input = try TokenInput(
      architecture.table, architecture.cells[0], weights, rows: rows, dropout: architecture.dropout, workspace)
    self.input = input
    stack = try RecurrentStack(
      architecture.cells, weights, first: input, steps: plan.steps, sequences: sequences,
      dropout: architecture.dropout, workspace)
    var addends = AddendList()
    output = try FullSoftmaxLoss(
      weight: architecture.decoderWeight, bias: architecture.decoderBias, weights, rows: rows,
      shards: plan.shards(of: rank).count, chunkFloats: chunkFloats, workspace, &addends)
    var inputBackward: TokenInputBackward?
    stackBackward = try RecurrentStackBackward(stack, rows: rows, &addends) { addends in
      let made = try TokenInputBackward(input, weights, plan, rank: rank, &addends)
      inputBackward = made
      return made
    }
    guard let inputBackward else { preconditionFailure("a stack without layers") }
    self.inputBackward = inputBackward
    self.addends = addends.addends
    let list = addends.addends
    gradients = try plan.subtrees(of: rank).map { try SubtreeGradient(list, plan, $0, memory: memory) }
    product = try WeightGradient(
      rows: rows, columns: max(RecurrentStackBackward.widest(architecture.cells), architecture.shape.hiddenSize),
      weights.arithmetic, precision: weights.precision)
  }

  package var carried: [CarriedState] { stack.carried }

  package var inputRows: InputRows {
    InputRows(forward: input.productRows, backward: inputBackward.productRows)
  }

  package func trainingPass(_ batch: Batch<Window>, observer: any PassObserver, nats: inout [Double]) throws {
    let window = batch.input
    let forward = Pass(steps: window.steps, sequences: window.streams, keys: batch.keys, observer: observer)
    let pass = BackwardPass(forward, gradients: gradients, rows: batch.units, product: product)
    input.tokens = window.inputs
    workspace.enter(.embedding)
    try inputBackward.list(pass)
    try output.list(window.targets, pass)
    let hidden = try stack.forward(forward)
    let dHidden = stackBackward.dOutput(forward)
    try output.lossAndGradient(
      hidden, dInput: dHidden, targets: window.targets, units: batch.units, pass, nats: &nats)
    workspace.probe?.visit("gradient of the last layer's output", dHidden, streams: window.streams)
    try stackBackward.backward(pass)
    stack.carry(forward)
    workspace.enter(.other)
  }
}
