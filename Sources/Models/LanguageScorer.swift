import Interfaces
import Kernels
import Layers
import Parameters
import Sharding

/// A language model that only reads: the exact loss of a text, or the logits of its next token. Nothing is dropped out.
package final class LanguageScorer: Scorer, StepDecoder {
  private let input: TokenInput
  private let stack: RecurrentStack
  private let output: FullSoftmax
  private let observer = SettledWeights()

  package init(
    _ architecture: LanguageArchitecture, _ weights: PackedParameters, _ plan: BatchPlan, rank: Int
  ) throws {
    Arithmetic.flushDenormals()
    let workspace = Workspace()
    let rows = plan.mostRows(of: rank)
    input = try TokenInput(
      architecture.table, architecture.cells[0], weights, rows: rows, dropout: nil, workspace)
    stack = try RecurrentStack(
      architecture.cells, weights, first: input, steps: plan.steps, sequences: plan.sequences(of: rank).count,
      dropout: nil, workspace)
    output = try FullSoftmax(
      weight: architecture.decoderWeight, bias: architecture.decoderBias, weights, rows: rows, workspace)
  }

  package func resetStates() { stack.resetStates() }

  package var carried: [CarriedState] { stack.carried }

  /// Rows of the last first-layer product with the input.
  package var inputRows: Int { input.productRows }

  package func score(_ batch: Batch<Window>, nats: inout [Double]) throws {
    let window = batch.input
    let pass = Pass(steps: window.steps, sequences: window.streams, keys: [], observer: observer)
    let hidden = try forward(window.inputs, pass)
    var start = 0
    for units in batch.units {
      try output.losses(hidden, targets: window.targets, units: units, into: &nats, from: start)
      start += units.count
    }
  }

  package func advance(_ tokens: [Int32]) throws -> MatrixView {
    let buffer = Buffer<Int32>(repeating: 0, count: tokens.count)
    for (row, token) in tokens.enumerated() { buffer[row] = token }
    let pass = Pass(steps: 1, sequences: tokens.count, keys: [], observer: observer)
    return try output.logits(of: forward(buffer, pass))
  }

  private func forward(_ tokens: Buffer<Int32>, _ pass: Pass) throws -> MatrixView {
    input.tokens = tokens
    let hidden = try stack.forward(pass)
    stack.carry(pass)
    return hidden
  }
}
