import Interfaces
import Kernels
import Layers
import Parameters
import Sharding

package typealias LanguageScorer = RecurrentScorer<Window>
package typealias TaggerScorer = RecurrentScorer<Sentences>

/// A ``RecurrentArchitecture`` that only reads: the exact loss and the answers of each position, without dropout.
package final class RecurrentScorer<Input: TokenBatch>: Scorer {
  private let input: TokenInput
  private let stack: RecurrentStack
  private let output: FullSoftmax
  /// Of the classes.
  private let bias: UnsafeBufferPointer<Float>
  private let weights: PackedParameters
  private let observer = SettledWeights()

  package init<Architecture: RecurrentArchitecture<Input>>(
    _ architecture: Architecture, _ weights: PackedParameters, _ plan: BatchPlan, rank: Int
  ) throws {
    Arithmetic.flushDenormals()
    // The weights are kept as long as the pointer into them.
    (self.weights, bias) = (weights, UnsafeBufferPointer(weights.store[architecture.decoderBias]))
    let workspace = Workspace()
    let rows = plan.mostRows(of: rank)
    input = try TokenInput(
      architecture.table, architecture.cells[0], weights, rows: rows, dropout: nil, workspace)
    stack = try RecurrentStack(
      architecture.cells, weights, first: input, rows: rows,
      sequences: Architecture.mostSequences(plan, rank: rank), dropout: nil, workspace)
    output = try FullSoftmax(
      weight: architecture.decoderWeight, bias: architecture.decoderBias, weights, rows: rows, workspace)
  }

  package func resetStates() { for state in stack.carried { state.values.fill(0) } }

  package var carried: [CarriedState] { Input.continues ? stack.carried : [] }

  /// Rows of the last first-layer product with the input.
  package var inputRows: Int { input.productRows }

  package func score(_ batch: Batch<Input>, nats: inout [Double]) throws {
    try read(batch, &nats) { _, _ in }
  }

  /// - Parameter didMultiply: called with products of some positions, [rows, classes], before the bias is added, and with
  ///   their places among the batch's units.
  private func read(
    _ batch: Batch<Input>, _ nats: inout [Double], didMultiply: (MatrixView, Range<Int>) -> Void
  ) throws {
    let hidden = try forward(batch.input.tokens, Pass(batch.input.layout, keys: [], observer: observer))
    var start = 0
    for units in batch.units {
      try output.losses(
        hidden, targets: batch.input.targets, units: units, into: &nats, from: start, didMultiply: didMultiply)
      start += units.count
    }
  }

  private func forward(_ tokens: Buffer<Int32>, _ pass: Pass) throws -> MatrixView {
    input.tokens = tokens
    if !Input.continues { stack.resetStates(pass) }
    let hidden = try stack.forward(pass)
    if Input.continues { stack.carry(pass) }
    return hidden
  }
}

extension RecurrentScorer: StepDecoder where Input == Window {
  package func advance(_ tokens: [Int32]) throws -> MatrixView {
    let buffer = Buffer<Int32>(repeating: 0, count: tokens.count)
    for (row, token) in tokens.enumerated() { buffer[row] = token }
    let pass = Pass(TimeMajorRows(steps: 1, sequences: tokens.count), keys: [], observer: observer)
    return try output.logits(of: forward(buffer, pass))
  }
}

extension RecurrentScorer: Predictor where Input == Sentences {
  package func predict(_ batch: Batch<Sentences>, nats: inout [Double], answers: inout [Int32]) throws {
    try read(batch, &nats) { products, places in
      for (row, place) in places.enumerated() {
        var best = 0
        for label in 1..<max(products.columns, 1)
        where products[row, label] + bias[label] > products[row, best] + bias[best] {
          best = label
        }
        answers[place] = Int32(best)
      }
    }
  }

  /// The logits of every position, [rows, labels], in the order of the batch's rows.
  package func logits(_ batch: Batch<Sentences>) throws -> [[Float]] {
    let hidden = try forward(batch.input.tokens, Pass(batch.input.layout, keys: [], observer: observer))
    return try (0..<hidden.rows).map { row in
      let logits = try output.logits(of: hidden.rows(row..<(row + 1)))
      return (0..<logits.columns).map { logits[0, $0] }
    }
  }
}
