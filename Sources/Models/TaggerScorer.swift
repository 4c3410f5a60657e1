import Interfaces
import Kernels
import Layers
import Parameters
import Sharding

/// A tagger that only reads: the loss of labelled sentences, and the most probable label of each token.
package final class TaggerScorer: Predictor {
  private let weights: PackedParameters
  private let bias: Parameter
  private let input: TokenInput
  private let stack: RecurrentStack
  private let output: FullSoftmax
  private let observer = SettledWeights()

  package init(
    _ architecture: TaggerArchitecture, _ weights: PackedParameters, _ plan: BatchPlan, rank: Int
  ) throws {
    Arithmetic.flushDenormals()
    (self.weights, bias) = (weights, architecture.decoderBias)
    let workspace = Workspace()
    let rows = plan.mostRows(of: rank)
    input = try TokenInput(
      architecture.table, architecture.cells[0], weights, rows: rows, dropout: nil, workspace)
    stack = try RecurrentStack(
      architecture.cells, weights, first: input, steps: plan.steps,
      sequences: plan.mostSequences(in: plan.shards(of: rank)), dropout: nil, workspace)
    output = try FullSoftmax(
      weight: architecture.decoderWeight, bias: architecture.decoderBias, weights, rows: rows, workspace)
  }

  package func resetStates() {}

  package func score(_ batch: Batch<Sentences>, nats: inout [Double]) throws {
    try read(batch, &nats) { _, _ in }
  }

  package func predict(_ batch: Batch<Sentences>, nats: inout [Double], answers: inout [Int32]) throws {
    let bias = UnsafeBufferPointer(weights.store[bias])
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

  /// The logits of every position, [T·B, labels], in the order of the batch's rows.
  package func logits(_ batch: Batch<Sentences>) throws -> [[Float]] {
    let hidden = try forward(batch)
    return try (0..<hidden.rows).map { row in
      let logits = try output.logits(of: hidden.rows(row..<(row + 1)))
      return (0..<logits.columns).map { logits[0, $0] }
    }
  }

  private func forward(_ batch: Batch<Sentences>) throws -> MatrixView {
    let sentences = batch.input
    let pass = Pass(
      steps: sentences.steps, sequences: sentences.lengths.count, lengths: sentences.lengths, keys: [],
      observer: observer)
    input.tokens = sentences.tokens
    stack.beginSequences(pass)
    return try stack.forward(pass)
  }

  private func read(
    _ batch: Batch<Sentences>, _ nats: inout [Double], didMultiply: (MatrixView, Range<Int>) -> Void
  ) throws {
    let hidden = try forward(batch)
    var start = 0
    for units in batch.units {
      try output.losses(
        hidden, targets: batch.input.labels, units: units, into: &nats, from: start, didMultiply: didMultiply)
      start += units.count
    }
  }
}
