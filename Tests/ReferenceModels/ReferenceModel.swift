import Glibc
import Layers
import Models
import Parameters

/// The naive twin of ``LanguageModel``: embedding → layers → softmax in scalar loops in `Double`, forward only.
package struct ReferenceModel: Sendable {
  package let architecture: LanguageArchitecture
  /// Row-major values, in the order of the layout.
  package var parameters: [[Double]]
  /// By layer.
  package var states: [ReferenceCell.States]

  /// The values of `store`, with zero states for `streams` streams.
  package init(_ store: ParameterStore, _ architecture: LanguageArchitecture, streams: Int) {
    self.architecture = architecture
    parameters = store.layout.parameters.map { store[$0].map { Double($0) } }
    states = architecture.cells.map { .init(streams: streams, hiddenSize: $0[0].hiddenSize) }
  }

  /// The summed cross-entropy of a window, in nats; the states move on to the next window.
  ///
  /// - Parameters:
  ///   - inputs: [T·B] token ids, time-major.
  ///   - targets: [T·B]; a negative one masks its row.
  ///   - masks: what dropout multiplies each connection's values by, the embedding's output first, then each layer's:
  ///     [T·B, E] and [T·B, H]. Empty without dropout.
  package mutating func loss(inputs: some Collection<Int32>, targets: [Int32], masks: [[Double]] = []) -> Double {
    let (table, size) = (values(architecture.table), architecture.table.columns)
    var x: [Double] = []
    for token in inputs { x += table[(Int(token) * size)..<((Int(token) + 1) * size)] }
    drop(&x, masks, connection: 0)
    for (layer, cells) in architecture.cells.enumerated() {
      x = cell(cells[0]).window(x, states: &states[layer])
      drop(&x, masks, connection: layer + 1)
    }
    return loss(x, targets)
  }

  private func loss(_ x: [Double], _ targets: [Int32]) -> Double {
    let (weight, bias) = (values(architecture.decoderWeight), values(architecture.decoderBias))
    let size = architecture.decoderWeight.columns
    var total = 0.0
    for (row, target) in targets.enumerated() where target >= 0 {
      let logits = bias.indices.map { token in
        (0..<size).reduce(bias[token]) { $0 + weight[token * size + $1] * x[row * size + $1] }
      }
      let maximum = logits.max() ?? 0
      total += log(logits.reduce(0) { $0 + exp($1 - maximum) }) + maximum - logits[Int(target)]
    }
    return total
  }

  private func cell(_ cell: CellParameters) -> ReferenceCell {
    ReferenceCell(
      cell.cell, inputWeight: values(cell.inputWeight), hiddenWeight: values(cell.hiddenWeight),
      inputBias: values(cell.inputBias), hiddenBias: values(cell.hiddenBias))
  }

  private func values(_ parameter: Parameter) -> [Double] { parameters[parameter.index] }

  private func drop(_ x: inout [Double], _ masks: [[Double]], connection: Int) {
    guard !masks.isEmpty else { return }
    for i in x.indices { x[i] *= masks[connection][i] }
  }
}
