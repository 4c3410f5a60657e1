import Interfaces
import Kernels
import Layers
import Parameters
import Sharding

/// Models of tokens: embedding → recurrent layers → a softmax for each position.
package protocol RecurrentArchitecture<Input>: Architecture where Input: TokenBatch {
  /// [V, E]
  var table: Parameter { get }
  /// By layer, then by direction.
  var cells: [[CellParameters]] { get }
  /// [classes, H of all directions]; the table where the weights are tied.
  var decoderWeight: Parameter { get }
  /// [classes]
  var decoderBias: Parameter { get }
  /// Of a conditional random field over the classes of each sequence, in place of the softmax; nil: none.
  var chain: ChainParameters? { get }
  /// Whether a class may follow another, or stand first, in the answers of a conditional random field; nil: any may.
  var isAllowed: ((Int?, Int) -> Bool)? { get }
  /// Of the non-recurrent connections (Zaremba et al. 2014), in training; nil: none.
  var dropout: Dropout? { get }
  /// Added to the bias of an LSTM's forget gate at the start.
  var forgetBias: Double { get }
}

extension RecurrentArchitecture {
  package var chain: ChainParameters? { nil }
  package var isAllowed: ((Int?, Int) -> Bool)? { nil }
  package var hasEqualBatches: Bool { Input.continues }

  package func initialize(_ store: ParameterStore, _ initialization: Initialization, seed: UInt64) {
    initialization.fill(store, hiddenSize: cells[0][0].hiddenSize, seed: seed)
    for cell in cells.joined() { cell.addForgetBias(forgetBias, to: store) }
  }

  package func makeModel(
    _ weights: PackedParameters, _ plan: BatchPlan, rank: Int, memory: FloatMemory, _ workspace: Workspace
  ) throws -> any TrainableModel<Input> {
    try RecurrentModel(self, weights, plan, rank: rank, memory: memory, workspace)
  }

  package func makeScorer(_ weights: PackedParameters, _ plan: BatchPlan, rank: Int) throws -> any Scorer<Input> {
    try RecurrentScorer<Input>(self, weights, plan, rank: rank)
  }

  /// The most sequences that a worker has in a batch: those of its streams, or as many sentences as its shards may have.
  static func mostSequences(_ plan: BatchPlan, rank: Int) -> Int {
    Input.continues ? plan.sequences(of: rank).count : plan.mostSequences(in: plan.shards(of: rank))
  }
}

// MARK: - Memory

extension RecurrentArchitecture {
  /// Every parameter has an addend of all rows, but for the table, whose rows are listed; a tied one has both.
  package func gradientBytes(_ plan: BatchPlan, rank: Int) -> Int {
    let dense = layout.parameters.filter { $0 != table || decoderWeight == table }
    let addends = dense.map { Addend(parameter: $0, rows: .all) } + [Addend(parameter: table, rows: .listed)]
    return SubtreeGradient.bytes(addends, plan, rank: rank)
  }

  private var classes: Int { decoderWeight.rows }
  private var outputSize: Int { decoderWeight.columns }

  package func modelBytes(_ plan: BatchPlan, rank: Int, precision: Precision) -> Int {
    let (rows, sequences) = (plan.mostRows(of: rank), Self.mostSequences(plan, rank: rank))
    let widest = RecurrentStackBackward.widest(cells)
    let gates = cells[0].reduce(0) { $0 + $1.gateColumns }
    var floats = RecurrentStack.floats(cells, rows: rows, sequences: sequences, training: true)
    floats += rows * table.columns + 2 * rows * widest
    floats += WeightGradient.scratchFloats(rows: rows, columns: max(widest, outputSize))
    if dropout != nil { floats += cells.reduce(0) { $0 + rows * $1.outputSize } }

    // Lists of tokens and rows, 32-bit integers: of the batch, of the table's gradient, of the shards.
    let v = table.rows
    var integers = min(v, rows) + rows + v + (v + 2 * rows) + rows
    if !Input.continues { integers += rows }  // the rows of states before positions
    var entries = rows
    if dropout == nil, ShardTokens.pay(vocabularySize: v, plan) {
      entries = ShardTokens.capacity(of: plan.shards(of: rank), vocabularySize: v, plan)
      floats += entries * gates
      integers += 2 * entries + rows + v
    }
    var bytes = 4 * (floats + integers)
    bytes +=
      chain == nil
      ? FullSoftmaxLoss.bytes(classes: classes, hiddenSize: outputSize, plan, rank: rank)
      : ChainLoss.bytes(labels: classes, rows: rows, steps: plan.steps, levels: plan.tree.root.level)
    if precision == .bf16 {
      bytes +=
        operandBytes(rows, sequences) + 2
        * (FullSoftmaxLoss.blockRows(classes: classes, hiddenSize: outputSize, plan, rank: rank) * classes)
      bytes += 2 * (entries * gates + cells.dropFirst().reduce(0) { $0 + rows * $1[0].gateColumns })
      bytes += 2 * cells.reduce(0) { $0 + sequences * $1[0].gateColumns }
    }
    return bytes
  }

  package func scorerBytes(_ plan: BatchPlan, rank: Int, precision: Precision) -> Int {
    let (rows, sequences) = (plan.mostRows(of: rank), Self.mostSequences(plan, rank: rank))
    let v = table.rows
    var floats = RecurrentStack.floats(cells, rows: rows, sequences: sequences, training: false)
    floats += rows * table.columns
    let integers = min(v, rows) + rows + v
    return 4 * (floats + integers)
      + (chain == nil
        ? FullSoftmax.bytes(classes: classes, hiddenSize: outputSize, rows: rows)
        : ChainLoss.bytes(labels: classes, rows: rows, steps: plan.steps, levels: 0))
      + (precision == .bf16 ? operandBytes(rows, sequences) : 0)
  }

  /// The copies of operands that forward products in bf16 keep.
  private func operandBytes(_ rows: Int, _ sequences: Int) -> Int {
    let inputs = cells.reduce(0) { $0 + rows * $1[0].inputWeight.columns }
    let states = cells.reduce(0) { $0 + sequences * $1[0].hiddenSize }
    let block = SoftmaxBlocks.rows(ofBlock: rows, classes: classes)
    return 2 * (inputs + states + block * outputSize)
  }
}
