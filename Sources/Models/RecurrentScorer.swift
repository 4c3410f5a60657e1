import Foundation
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
  private let output: Output
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
    let (weight, bias) = (architecture.decoderWeight, architecture.decoderBias)
    output =
      if let chain = architecture.chain {
        .chain(
          try ChainScorer(
            weight: weight, bias: bias, chain, weights, rows: rows, steps: plan.steps,
            isAllowed: architecture.isAllowed))
      } else {
        .softmax(try FullSoftmax(weight: weight, bias: bias, weights, rows: rows, workspace))
      }
  }

  package func resetStates() { for state in stack.carried { state.values.fill(0) } }

  package var carried: [CarriedState] { Input.continues ? stack.carried : [] }

  /// Rows of the last first-layer product with the input.
  package var inputRows: Int { input.productRows }

  private enum Output {
    case softmax(FullSoftmax)
    case chain(ChainScorer)
  }

  package func score(_ batch: Batch<Input>, nats: inout [Double]) throws {
    var answers: [Int32]?
    try read(batch, &nats, &answers)
  }

  /// - Parameter answers: the most probable class of each unit; nil: not wanted.
  private func read(_ batch: Batch<Input>, _ nats: inout [Double], _ answers: inout [Int32]?) throws {
    let (targets, layout) = (batch.input.targets, batch.input.layout)
    let hidden = try forward(batch.input.tokens, Pass(layout, keys: [], observer: observer))
    switch output {
    case .softmax(let softmax):
      var start = 0
      for units in batch.units {
        try softmax.losses(hidden, targets: targets, units: units, into: &nats, from: start) { products, places in
          guard answers != nil else { return }
          for (row, place) in places.enumerated() { answers?[place] = best(products.rows(row..<(row + 1))) }
        }
        start += units.count
      }
    case .chain(let chain):
      var losses = [Double](repeating: 0, count: layout.count)
      var best = [Int32](repeating: 0, count: layout.count)
      try chain.score(hidden, targets: targets, layout, nats: &losses, answers: &best)
      for (place, row) in batch.units.lazy.flatMap(\.rows).enumerated() {
        nats[place] = losses[Int(row)]
        answers?[place] = best[Int(row)]
      }
    }
  }

  /// The most probable class of a row of products, to which the bias is not yet added.
  private func best(_ products: MatrixView) -> Int32 {
    var best = 0
    for label in 1..<max(products.columns, 1) where products[0, label] + bias[label] > products[0, best] + bias[best] {
      best = label
    }
    return Int32(best)
  }

  private var softmax: FullSoftmax {
    guard case .softmax(let softmax) = output else { preconditionFailure("a model without a softmax") }
    return softmax
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
    return try softmax.logits(of: forward(buffer, pass))
  }
}

extension RecurrentScorer: Predictor where Input == Sentences {
  package func predict(_ batch: Batch<Sentences>, nats: inout [Double], answers: inout [Int32]) throws {
    var found: [Int32]? = answers
    try read(batch, &nats, &found)
    if let found { answers = found }
  }

  package func probabilities(
    _ batch: Batch<Sentences>, _ visit: (_ unit: Int, _ classes: [Double]) -> Void
  ) throws {
    let layout = batch.input.layout
    let hidden = try forward(batch.input.tokens, Pass(layout, keys: [], observer: observer))
    var byRow = [[Double]](repeating: [], count: layout.count)
    switch output {
    case .softmax(let softmax):
      for row in 0..<hidden.rows {
        let logits = try softmax.logits(of: hidden.rows(row..<(row + 1)))
        let most = (0..<logits.columns).reduce(-Float.infinity) { max($0, logits[0, $1]) }
        let values = (0..<logits.columns).map { exp(Double(logits[0, $0]) - Double(most)) }
        let sum = values.reduce(0, +)
        byRow[row] = values.map { $0 / sum }
      }
    case .chain(let chain):
      try chain.marginals(hidden, layout) { byRow[$0] = $1 }
    }
    for (unit, row) in batch.units.lazy.flatMap(\.rows).enumerated() { visit(unit, byRow[Int(row)]) }
  }

  /// The logits of every position, [rows, labels], in the order of the batch's rows.
  package func logits(_ batch: Batch<Sentences>) throws -> [[Float]] {
    let hidden = try forward(batch.input.tokens, Pass(batch.input.layout, keys: [], observer: observer))
    return try (0..<hidden.rows).map { row in
      let logits = try softmax.logits(of: hidden.rows(row..<(row + 1)))
      return (0..<logits.columns).map { logits[0, $0] }
    }
  }
}
