import Kernels
import Parameters

/// How parameters start. The same seed gives the same weights on any number of workers: each parameter draws from a
/// random stream of its own, keyed by its name.
package enum Initialization: Sendable, Equatable {
  /// As configurations spell it.
  package enum Name: String, CaseIterable, Sendable { case uniform, pytorch }

  /// Every parameter, biases too, uniform in −range ..< range (Zaremba et al. 2014).
  case uniform(range: Double)
  /// PyTorch's defaults for recurrent layers and embeddings: tables N(0, 1), everything else uniform in ±1/√H.
  case pytorch

  /// Fills all parameters.
  ///
  /// - Parameter hiddenSize: H
  package func fill(_ store: ParameterStore, hiddenSize: Int, seed: UInt64) {
    for parameter in store.layout.parameters {
      var random = RandomStream(seed: seed, stream: Self.streamNumber(of: parameter.name))
      let values = store[parameter]
      switch self {
      case .uniform(let range):
        for i in values.indices { values[i] = Float((2 * random.nextUnit() - 1) * range) }
      case .pytorch where parameter.uses.contains(.table):
        for i in values.indices { values[i] = Float(Self.normal(&random)) }
      case .pytorch:
        let range = 1 / Double(hiddenSize).squareRoot()
        for i in values.indices { values[i] = Float((2 * random.nextUnit() - 1) * range) }
      }
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
