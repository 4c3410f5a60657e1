import Interfaces
import Layers
import Models
import Parameters
import Testing

@Suite struct InitializationTests {
  private func architecture(forgetBias: Double = 0) -> LanguageArchitecture {
    LanguageArchitecture(
      .init(cell: .lstm, vocabularySize: 50, embeddingSize: 20, hiddenSize: 30, layers: 2), forgetBias: forgetBias)
  }

  private func filled(
    _ initialization: Initialization, seed: UInt64 = 1, forgetBias: Double = 0
  ) throws -> ParameterStore {
    let architecture = architecture(forgetBias: forgetBias)
    let store = try ParameterStore(architecture.layout)
    architecture.initialize(store, initialization, seed: seed)
    return store
  }

  @Test func uniformFillsItsRangeEvenly() throws {
    let store = try filled(.uniform(range: 0.1))
    for parameter in store.layout.parameters {
      let values = Array(store[parameter])
      #expect(values.allSatisfy { abs($0) <= 0.1 })
      #expect(values.min()! < -0.07 && values.max()! > 0.07)
      let mean = values.reduce(0, +) / Float(values.count)
      #expect(abs(mean) < 0.25 / Float(values.count).squareRoot(), "\(parameter.name)")
    }
  }

  @Test func pytorchStyleHasItsSpreads() throws {
    let store = try filled(.pytorch)
    let encoder = store[architecture().table]
    let variance = encoder.reduce(0) { $0 + $1 * $1 } / Float(encoder.count)
    #expect(abs(variance - 1) < 0.15)
    let bound = 1 / Float(30).squareRoot()
    for parameter in store.layout.parameters.dropFirst() {
      let values = store[parameter]
      #expect(values.allSatisfy { abs($0) <= bound } && values.contains { abs($0) > 0.8 * bound })
    }
  }

  @Test func seedAndNameDecide() throws {
    func values(seed: UInt64) throws -> [Float] {
      let store = try filled(.uniform(range: 0.1), seed: seed)
      return withExtendedLifetime(store) { Array(store.values.buffer) }
    }
    #expect(try values(seed: 1) == values(seed: 1))
    #expect(try values(seed: 1) != values(seed: 2))
    let store = try filled(.uniform(range: 0.1))
    withExtendedLifetime(store) {
      let cell = architecture().cells[0][0]
      #expect(Array(store[cell.inputBias]) != Array(store[cell.hiddenBias]))
    }
  }

  @Test func forgetBiasIsAddedToTheForgetGateAlone() throws {
    let plain = try filled(.uniform(range: 0.1))
    let biased = try filled(.uniform(range: 0.1), forgetBias: 1)
    for parameter in plain.layout.parameters {
      let (before, after) = (plain[parameter], biased[parameter])
      for i in before.indices {
        let raised = parameter.name.hasPrefix("rnn.bias_ih") && (30..<60).contains(i)
        #expect(after[i] == before[i] + (raised ? 1 : 0))
      }
    }
  }
}
