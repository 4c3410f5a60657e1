import Interfaces
import Kernels
import Layers
import Parameters
import Sharding

/// Truncated backpropagation through time over token streams.
package typealias LanguageModel = RecurrentModel<Window>
/// Backpropagation through whole sentences.
package typealias Tagger = RecurrentModel<Sentences>

/// A ``RecurrentArchitecture`` in training, of one worker.
///
/// The weights may be shared with other workers; everything else belongs to this one.
package final class RecurrentModel<Input: TokenBatch>: TrainableModel {
  package let addends: [Addend]
  package let gradients: [SubtreeGradient]
  private let workspace: Workspace
  private let input: TokenInput
  private let inputBackward: TokenInputBackward
  private let stack: RecurrentStack
  private let stackBackward: RecurrentStackBackward
  private let output: any OutputLayer
  private let product: WeightGradient
  /// See ``BackwardPass``; by position.
  private let stateRows: Buffer<Int32>?

  /// - Parameter chunkFloats: see ``FullSoftmaxLoss``.
  package init<Architecture: RecurrentArchitecture<Input>>(
    _ architecture: Architecture, _ weights: PackedParameters, _ plan: BatchPlan, rank: Int,
    memory: FloatMemory = FloatBuffer.init(count:), chunkFloats: Int? = nil, _ workspace: Workspace = Workspace()
  ) throws {
    // Workers that are threads share the weights and have a model each.
    Arithmetic.flushDenormals()
    self.workspace = workspace
    let rows = plan.mostRows(of: rank)
    let input = try TokenInput(
      architecture.table, architecture.cells[0], weights, rows: rows, dropout: architecture.dropout, workspace)
    self.input = input
    stack = try RecurrentStack(
      architecture.cells, weights, first: input, rows: rows,
      sequences: Architecture.mostSequences(plan, rank: rank), dropout: architecture.dropout, workspace)
    var addends = AddendList()
    let (weight, bias) = (architecture.decoderWeight, architecture.decoderBias)
    output =
      if let chain = architecture.chain {
        try ChainLoss(
          weight: weight, bias: bias, chain, weights, rows: rows, steps: plan.steps, levels: plan.tree.root.level,
          workspace, &addends)
      } else {
        try FullSoftmaxLoss(
          weight: weight, bias: bias, weights, rows: rows, shards: plan.shards(of: rank).count,
          chunkFloats: chunkFloats, workspace, &addends)
      }
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
    stateRows = Input.continues ? nil : Buffer(repeating: 0, count: rows)
    product = try WeightGradient(
      rows: rows, columns: max(RecurrentStackBackward.widest(architecture.cells), architecture.decoderWeight.columns),
      weights.arithmetic, precision: weights.precision)
  }

  package var carried: [CarriedState] { Input.continues ? stack.carried : [] }

  package var inputRows: InputRows {
    InputRows(forward: input.productRows, backward: inputBackward.productRows)
  }

  package func trainingPass(_ batch: Batch<Input>, observer: any PassObserver, nats: inout [Double]) throws {
    let forward = Pass(batch.input.layout, keys: batch.keys, observer: observer)
    let pass = BackwardPass(
      forward, gradients: gradients, rows: batch.units, stateRows: stateRows, product: product)
    input.tokens = batch.input.tokens
    workspace.enter(.embedding)
    try inputBackward.list(pass)
    try output.list(batch.input.targets, pass)
    if !Input.continues { stack.resetStates(forward) }
    let hidden = try stack.forward(forward)
    let dHidden = stackBackward.dOutput(forward)
    try output.lossAndGradient(
      hidden, dInput: dHidden, targets: batch.input.targets, units: batch.units, pass, nats: &nats)
    workspace.probe?.visit("gradient of the last layer's output", dHidden, forward.layout)
    try stackBackward.backward(pass)
    if Input.continues { stack.carry(forward) }
    workspace.enter(.other)
  }
}
