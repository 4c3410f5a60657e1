import Glibc
import Layers
import Models
import Parameters

/// The naive twin of ``Tagger``: one sentence at a time, in scalar loops in `Double`, forward only.
package struct ReferenceTagger: Sendable {
  private let architecture: TaggerArchitecture
  /// Row-major values, in the order of the layout.
  package var parameters: [[Double]]

  package init(_ store: ParameterStore, _ architecture: TaggerArchitecture) {
    self.architecture = architecture
    parameters = store.layout.parameters.map { store[$0].map { Double($0) } }
  }

  /// The summed cross-entropy of a sentence, in nats.
  ///
  /// - Parameter masks: what dropout multiplies each connection's values by, the embedding's output first, then each
  ///   layer's: by time step and column. Empty without dropout.
  package func loss(tokens: [Int32], labels: [Int32], masks: [[Double]] = []) -> Double {
    let logits = logits(tokens: tokens, masks: masks)
    if let chain = architecture.chain { return chainLoss(chain, logits, labels) }
    return zip(logits, labels).reduce(0) { $0 + logSum($1.0) - $1.0[Int($1.1)] }
  }

  private func logSum(_ values: [Double]) -> Double {
    let maximum = values.max() ?? 0
    return log(values.reduce(0) { $0 + exp($1 - maximum) }) + maximum
  }

  /// −log p(labels): the score of the labels against that of all paths, by the forward algorithm in logarithms.
  private func chainLoss(_ chain: ChainParameters, _ scores: [[Double]], _ labels: [Int32]) -> Double {
    let (start, end, transitions) = (
      parameters[chain.start.index], parameters[chain.end.index], parameters[chain.transitions.index]
    )
    let k = start.count
    var alpha = zip(start, scores[0]).map { $0 + $1 }
    var score = alpha[Int(labels[0])]
    for step in 1..<max(scores.count, 1) {
      alpha = (0..<k).map { j in logSum((0..<k).map { alpha[$0] + transitions[$0 * k + j] }) + scores[step][j] }
      score += transitions[Int(labels[step - 1]) * k + Int(labels[step])] + scores[step][Int(labels[step])]
    }
    return logSum(zip(alpha, end).map { $0 + $1 }) - score - end[Int(labels[labels.count - 1])]
  }

  /// The logits of each token of a sentence.
  package func logits(tokens: [Int32], masks: [[Double]] = []) -> [[Double]] {
    let (table, size) = (parameters[architecture.table.index], architecture.table.columns)
    var x = tokens.map { Array(table[(Int($0) * size)..<((Int($0) + 1) * size)]) }
    drop(&x, masks, connection: 0)
    for (layer, cells) in architecture.cells.enumerated() {
      let outputs = cells.enumerated().map { direction, cell in
        let output = run(cell, direction == 0 ? x : x.reversed())
        return direction == 0 ? output : output.reversed()
      }
      x = x.indices.map { step in outputs.flatMap { $0[step] } }
      drop(&x, masks, connection: layer + 1)
    }
    let (weight, bias) = (
      parameters[architecture.decoderWeight.index], parameters[architecture.decoderBias.index]
    )
    let inner = architecture.decoderWeight.columns
    return x.map { x in
      bias.indices.map { label in x.indices.reduce(bias[label]) { $0 + weight[label * inner + $1] * x[$1] } }
    }
  }

  private func run(_ cell: CellParameters, _ x: [[Double]]) -> [[Double]] {
    let twin = ReferenceCell(
      cell.cell, inputWeight: parameters[cell.inputWeight.index], hiddenWeight: parameters[cell.hiddenWeight.index],
      inputBias: parameters[cell.inputBias.index], hiddenBias: parameters[cell.hiddenBias.index])
    var states = ReferenceCell.States(streams: 1, hiddenSize: cell.hiddenSize)
    return x.map { twin.window($0, states: &states) }
  }

  private func drop(_ x: inout [[Double]], _ masks: [[Double]], connection: Int) {
    guard !masks.isEmpty else { return }
    for step in x.indices {
      for column in x[step].indices { x[step][column] *= masks[connection][step * x[step].count + column] }
    }
  }
}
