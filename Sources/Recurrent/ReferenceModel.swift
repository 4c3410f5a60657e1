import Arena

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The naive twin of ``LanguageModel``: embedding → layers → softmax in scalar loops in `Double`, forward only.
package struct ReferenceModel: Sendable {
  package let shape: ModelShape
  /// Row-major values under the names of ``ModelShape/layout``.
  package var parameters: [String: [Double]]
  /// One a layer.
  package var states: [ReferenceCell.States]

  /// The values of `store`, with zero states for `streams` streams.
  package init(_ store: ParameterStore, shape: ModelShape, streams: Int) {
    self.shape = shape
    parameters = [:]
    for parameter in store.layout.parameters {
      parameters[parameter.name] = store.floats(parameter.name).map { Double($0) }
    }
    states = Array(repeating: .init(streams: streams, hiddenSize: shape.hiddenSize), count: shape.layers)
  }

  /// The summed cross-entropy of a window, in nats; the states move on to the next window.
  ///
  /// - Parameters:
  ///   - inputs: [T·B] token ids, time-major.
  ///   - targets: [T·B]; a negative one masks its row.
  ///   - masks: what dropout multiplies each connection's values by, the embedding's output first, then each layer's:
  ///     [T·B, E] and [T·B, H]. Empty without dropout.
  package mutating func loss(inputs: some Collection<Int32>, targets: [Int32], masks: [[Double]] = []) -> Double {
    let encoder = values("encoder.weight")
    var x: [Double] = []
    for token in inputs { x += encoder[(Int(token) * shape.embeddingSize)..<((Int(token) + 1) * shape.embeddingSize)] }
    drop(&x, masks, connection: 0)
    for layer in 0..<shape.layers {
      x = cell(ofLayer: layer).window(x, states: &states[layer])
      drop(&x, masks, connection: layer + 1)
    }
    let (weight, bias) = (values(shape.decoderWeightName), values("decoder.bias"))
    let size = shape.hiddenSize
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

  private func cell(ofLayer layer: Int) -> ReferenceCell {
    ReferenceCell(
      shape.cell, inputWeight: values("rnn.weight_ih_l\(layer)"), hiddenWeight: values("rnn.weight_hh_l\(layer)"),
      inputBias: values("rnn.bias_ih_l\(layer)"), hiddenBias: values("rnn.bias_hh_l\(layer)"))
  }

  private func values(_ name: String) -> [Double] {
    guard let values = parameters[name] else { preconditionFailure("no parameter \(name)") }
    return values
  }

  private func drop(_ x: inout [Double], _ masks: [[Double]], connection: Int) {
    guard !masks.isEmpty else { return }
    for i in x.indices { x[i] *= masks[connection][i] }
  }
}
