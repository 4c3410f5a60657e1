import Interfaces
import Kernels
import Layers
import Parameters
import Sharding

/// A tagger in training, of one worker: backpropagation through whole sentences, which start from zero states.
///
/// The weights may be shared with other workers; everything else belongs to this one.
package final class Tagger: TrainableModel {
  package let addends: [Addend]
  package let gradients: [SubtreeGradient]
  package var carried: [CarriedState] { [] }
  private let workspace: Workspace
  private let input: TokenInput
  private let inputBackward: TokenInputBackward
  private let stack: RecurrentStack
  private let stackBackward: RecurrentStackBackward
  private let output: any OutputLayer
  private let product: WeightGradient

  package init(
    _ architecture: TaggerArchitecture, _ weights: PackedParameters, _ plan: BatchPlan, rank: Int,
    memory: FloatMemory = FloatBuffer.init(count:), _ workspace: Workspace = Workspace()
  ) throws {
    Arithmetic.flushDenormals()
    self.workspace = workspace
    let rows = plan.mostRows(of: rank)
    let input = try TokenInput(
      architecture.table, architecture.cells[0], weights, rows: rows, dropout: architecture.dropout, workspace)
    self.input = input
    stack = try RecurrentStack(
      architecture.cells, weights, first: input, steps: plan.steps,
      sequences: plan.mostSequences(in: plan.shards(of: rank)), dropout: architecture.dropout, workspace)
    var addends = AddendList()
    output = try FullSoftmaxLoss(
      weight: architecture.decoderWeight, bias: architecture.decoderBias, weights, rows: rows,
      shards: plan.shards(of: rank).count, workspace, &addends)
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
      rows: rows, columns: max(RecurrentStackBackward.widest(architecture.cells), architecture.decoderWeight.columns),
      weights.arithmetic, precision: weights.precision)
  }

  package var inputRows: InputRows {
    InputRows(forward: input.productRows, backward: inputBackward.productRows)
  }

  package func trainingPass(_ batch: Batch<Sentences>, observer: any PassObserver, nats: inout [Double]) throws {
    let sentences = batch.input
    let forward = Pass(
      steps: sentences.steps, sequences: sentences.lengths.count, lengths: sentences.lengths, keys: batch.keys,
      observer: observer)
    let pass = BackwardPass(forward, gradients: gradients, rows: batch.units, product: product)
    input.tokens = sentences.tokens
    workspace.enter(.embedding)
    try inputBackward.list(pass)
    try output.list(sentences.labels, pass)
    stack.beginSequences(forward)
    let hidden = try stack.forward(forward)
    let dHidden = stackBackward.dOutput(forward)
    // Rows after a sentence's end have no loss.
    dHidden.fill(0)
    try output.lossAndGradient(
      hidden, dInput: dHidden, targets: sentences.labels, units: batch.units, pass, nats: &nats)
    workspace.probe?.visit("gradient of the last layer's output", dHidden, streams: max(forward.sequences, 1))
    try stackBackward.backward(pass)
    workspace.enter(.other)
  }
}
