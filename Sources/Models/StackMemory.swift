import Interfaces
import Kernels
import Layers
import Parameters
import Sharding

/// What a model of table, recurrent layers and softmax allocates, by the formulas of its parts: the memory of a run is
/// known before it is asked for.
struct StackMemory {
  let table: Parameter
  let cells: [[CellParameters]]
  /// Of the softmax.
  let classes: Int
  let hasDropout: Bool

  private var outputSize: Int { cells[cells.count - 1].outputSize }

  func modelBytes(_ plan: BatchPlan, rank: Int, precision: Precision) -> Int {
    let (rows, sequences) = (plan.mostRows(of: rank), plan.mostSequences(in: plan.shards(of: rank)))
    let widest = RecurrentStackBackward.widest(cells)
    let gates = cells[0].reduce(0) { $0 + $1.gateColumns }
    var floats = RecurrentStack.floats(cells, rows: rows, sequences: sequences, training: true)
    floats += rows * table.columns + 2 * rows * widest
    floats += WeightGradient.scratchFloats(rows: rows, columns: max(widest, outputSize))
    if hasDropout { floats += cells.reduce(0) { $0 + rows * $1.outputSize } }

    // Lists of tokens and rows, 32-bit integers: of the batch, of the table's gradient, of the shards.
    let v = table.rows
    var integers = min(v, rows) + rows + v + (v + 2 * rows) + rows
    var entries = rows
    if !hasDropout, ShardTokens.pay(vocabularySize: v, plan) {
      entries = ShardTokens.capacity(of: plan.shards(of: rank), vocabularySize: v, plan)
      floats += entries * gates
      integers += 2 * entries + rows + v
    }
    var bytes = 4 * (floats + integers)
    bytes += FullSoftmaxLoss.bytes(classes: classes, hiddenSize: outputSize, plan, rank: rank)
    if precision == .bf16 {
      bytes +=
        operandBytes(rows, sequences) + 2
        * (FullSoftmaxLoss.blockRows(classes: classes, hiddenSize: outputSize, plan, rank: rank) * classes)
      bytes += 2 * (entries * gates + cells.dropFirst().reduce(0) { $0 + rows * $1[0].gateColumns })
      bytes += 2 * cells.reduce(0) { $0 + sequences * $1[0].gateColumns }
    }
    return bytes
  }

  func scorerBytes(_ plan: BatchPlan, rank: Int, precision: Precision) -> Int {
    let (rows, sequences) = (plan.mostRows(of: rank), plan.mostSequences(in: plan.shards(of: rank)))
    let v = table.rows
    var floats = RecurrentStack.floats(cells, rows: rows, sequences: sequences, training: false)
    floats += rows * table.columns
    let integers = min(v, rows) + rows + v
    return 4 * (floats + integers) + FullSoftmax.bytes(classes: classes, hiddenSize: outputSize, rows: rows)
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
