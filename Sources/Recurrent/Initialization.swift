import Arena

/// How parameters start. The same seed gives the same weights on any number of workers: each parameter draws from a
/// random stream of its own, keyed by its name.
package enum Initialization: Sendable, Equatable {
  /// Every parameter, biases too, uniform in −range ..< range (Zaremba et al. 2014).
  case uniform(range: Double)
  /// PyTorch's defaults: embedding N(0, 1); recurrent layers and decoder uniform in ±1/√H.
  case pytorch

  /// Fills `store`, which must have the layout of `shape`.
  ///
  /// - Parameter forgetBias: added to the input-side bias of an LSTM's forget gate (Gers et al. 2000).
  package func fill(_ store: ParameterStore, shape: ModelShape, seed: UInt64, forgetBias: Double = 0) {
    for parameter in store.layout.parameters {
      var random = RandomStream(seed: seed, stream: Self.streamNumber(of: parameter.name))
      let values = store.values[parameter.range]
      switch self {
      case .uniform(let range):
        for i in values.indices { values[i] = Float((2 * random.nextUnit() - 1) * range) }
      case .pytorch where parameter.name == "encoder.weight":
        for i in values.indices { values[i] = Float(Self.normal(&random)) }
      case .pytorch:
        let range = 1 / Double(shape.hiddenSize).squareRoot()
        for i in values.indices { values[i] = Float((2 * random.nextUnit() - 1) * range) }
      }
    }
    guard shape.cell == .lstm, forgetBias != 0 else { return }
    for layer in 0..<shape.layers {
      let bias = store.floats("rnn.bias_ih_l\(layer)")
      for i in shape.hiddenSize..<(2 * shape.hiddenSize) { bias[i] += Float(forgetBias) }
    }
  }

  /// FNV-1a of the name: a number that is the same on every machine, unlike Swift's hash values.
  private static func streamNumber(of name: String) -> UInt64 {
    name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  /// Sum of twelve uniforms less six: exact to the same bits everywhere, unlike libm's log and cosine.
  private static func normal(_ random: inout RandomStream) -> Double {
    (0..<12).reduce(-6.0) { total, _ in total + random.nextUnit() }
  }
}
