import Interfaces
import Kernels
import Layers
import Sharding

/// What a language model allocates, by the formulas of its parts: the memory of a run is known before it is asked for.
extension LanguageArchitecture {
  /// Every parameter has an addend of all rows, but for the table, whose rows are listed; a tied one has both.
  package func gradientBytes(_ plan: BatchPlan, rank: Int) -> Int {
    let addends =
      layout.parameters.filter { $0 != table || shape.tied }.map { Addend(parameter: $0, rows: .all) }
      + [Addend(parameter: table, rows: .listed)]
    return SubtreeGradient.bytes(addends, plan, rank: rank)
  }

  package func modelBytes(_ plan: BatchPlan, rank: Int, precision: Precision) -> Int {
    let (rows, sequences) = (plan.mostRows(of: rank), plan.mostSequences(in: plan.shards(of: rank)))
    let widest = RecurrentStackBackward.widest(cells)
    let gates = cells[0].reduce(0) { $0 + $1.gateColumns }
    var floats = RecurrentStack.floats(cells, rows: rows, sequences: sequences, training: true)
    floats += rows * shape.embeddingSize + 2 * rows * widest
    floats += WeightGradient.scratchFloats(rows: rows, columns: max(widest, shape.hiddenSize))
    if dropout != nil { floats += cells.reduce(0) { $0 + rows * $1.outputSize } }

    // Lists of tokens and rows, 32-bit integers: of the batch, of the table's gradient, of the shards.
    let v = shape.vocabularySize
    var integers = min(v, rows) + rows + v + (v + 2 * rows) + rows
    var entries = rows
    if dropout == nil, ShardTokens.pay(vocabularySize: v, plan) {
      entries = ShardTokens.capacity(of: plan.shards(of: rank), vocabularySize: v, plan)
      floats += entries * gates
      integers += 2 * entries + rows + v
    }
    var bytes = 4 * (floats + integers)
    bytes += FullSoftmaxLoss.bytes(classes: v, hiddenSize: shape.hiddenSize, plan, rank: rank)
    if precision == .bf16 {
      bytes +=
        operandBytes(rows, sequences) + 2
        * (FullSoftmaxLoss.blockRows(classes: v, hiddenSize: shape.hiddenSize, plan, rank: rank) * v)
      bytes += 2 * (entries * gates + cells.dropFirst().reduce(0) { $0 + rows * $1[0].gateColumns })
      bytes += 2 * cells.reduce(0) { $0 + sequences * $1[0].gateColumns }
    }
    return bytes
  }

  package func scorerBytes(_ plan: BatchPlan, rank: Int, precision: Precision) -> Int {
    let (rows, sequences) = (plan.mostRows(of: rank), plan.mostSequences(in: plan.shards(of: rank)))
    let v = shape.vocabularySize
    var floats = RecurrentStack.floats(cells, rows: rows, sequences: sequences, training: false)
    floats += rows * shape.embeddingSize
    let integers = min(v, rows) + rows + v
    return 4 * (floats + integers) + FullSoftmax.bytes(classes: v, hiddenSize: shape.hiddenSize, rows: rows)
      + (precision == .bf16 ? operandBytes(rows, sequences) : 0)
  }

  /// The copies of operands that forward products in bf16 keep.
  private func operandBytes(_ rows: Int, _ sequences: Int) -> Int {
    let inputs = cells.reduce(0) { $0 + rows * $1[0].inputWeight.columns }
    let states = cells.reduce(0) { $0 + sequences * $1[0].hiddenSize }
    let block = SoftmaxBlocks.rows(ofBlock: rows, classes: shape.vocabularySize)
    return 2 * (inputs + states + block * shape.hiddenSize)
  }
}
