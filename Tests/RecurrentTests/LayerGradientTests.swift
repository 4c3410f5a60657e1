import Arena
import Kernels
import NumericSupport
import Recurrent
import Testing

/// Gradients of one layer against central differences of its twin in `Double`.
@Suite struct LayerGradientTests {
  /// What a layer's output depends on.
  struct Point {
    var layer: ReferenceCell
    var x: [Double]
    var states: ReferenceCell.States

    /// Σ dOutput ⊙ h: its gradient by h is dOutput.
    func loss(_ dOutput: [Double]) -> Double {
      var states = states
      return zip(layer.window(x, states: &states), dOutput).reduce(0) { $0 + $1.0 * $1.1 }
    }
  }

  struct Sizes: CustomTestStringConvertible, Sendable {
    let input: Int
    let hidden: Int
    let streams: Int
    let steps: Int
    /// Every how many entries of a tensor are checked.
    var every = 1

    var testDescription: String { "E=\(input) H=\(hidden) B=\(streams) T=\(steps)" }
  }

  static let sizes = [
    Sizes(input: 5, hidden: 7, streams: 3, steps: 4), Sizes(input: 1, hidden: 1, streams: 1, steps: 3),
    Sizes(input: 8, hidden: 8, streams: 2, steps: 1), Sizes(input: 9, hidden: 33, streams: 2, steps: 3, every: 23),
  ]

  @Test(arguments: allCells, sizes) func everyGradientAgreesWithCentralDifferences(cell: Cell, sizes: Sizes) throws {
    try withScratch { scratch in
      let (streams, steps, h) = (sizes.streams, sizes.steps, sizes.hidden)
      let shape = ModelShape(cell: cell, vocabularySize: 2, embeddingSize: sizes.input, hiddenSize: h, layers: 1)
      let weights = try randomWeights(shape)
      // One step more than is used, as in a ragged window.
      let layer = try makeLayer(0, of: weights, window: steps + 1, streams: streams)
      let x = try scratch.uniform(steps * streams, sizes.input)
      let dOutput = try scratch.uniform(steps * streams, h)
      let dInput = try scratch.zeros(steps * streams, sizes.input)
      let initialHidden = try scratch.uniform(streams, h)
      let initialCell = try scratch.uniform(streams, h)
      layer.hidden.slot(0).pointer.update(from: initialHidden.pointer, count: streams * h)
      layer.cell?.slot(0).pointer.update(from: initialCell.pointer, count: streams * h)

      let output = try layer.forward(x, steps: steps)
      var point = Point(
        layer: Self.twin(of: weights.parameters, cell), x: x.values.map { Double($0) },
        states: .init(streams: streams, hiddenSize: h))
      for b in 0..<streams {
        point.states.hidden[b] = initialHidden.rows(b..<(b + 1)).values.map { Double($0) }
        point.states.cell[b] = initialCell.rows(b..<(b + 1)).values.map { Double($0) }
      }
      var after = point.states
      #expect(largestError(output.values, point.layer.window(point.x, states: &after)) < 2e-6)
      if let cell = layer.cell {
        #expect(largestError(cell.slot(steps).values, after.cell.flatMap { $0 }) < 2e-6)
      }

      try layer.backward(dOutput: dOutput, dInput: dInput, steps: steps, toInitialStates: true)
      let batch = LocalBatch(window: steps, streams: streams, shards: streams)
      let gradients = try ParameterStore(shape.layout)
      layer.writeGradients(
        input: x, rows: batch.nodes[0],
        with: try WeightGradient(rows: steps * streams, columns: max(h, sizes.input), .best),
        to: gradients, steps: steps)

      let dLoss = dOutput.values.map { Double($0) }
      func check(_ name: String, _ found: [Float], _ path: (Int) -> WritableKeyPath<Point, Double>) {
        let entries = stride(from: 0, to: found.count, by: sizes.every)
        let expected = entries.map { centralDifference(&point, path($0)) { $0.loss(dLoss) } }
        let error = largestError(entries.map { found[$0] }, expected)
        #expect(error < 1e-5, "\(name)")
      }
      check("x", dInput.values) { \.x[$0] }
      check("h0", layer.dInitialHidden.values) { \.states.hidden[$0 / h][$0 % h] }
      if let dCell = layer.dInitialCell { check("c0", dCell.values) { \.states.cell[$0 / h][$0 % h] } }
      check("weight_ih", Array(gradients.floats("rnn.weight_ih_l0"))) { \.layer.inputWeight[$0] }
      check("weight_hh", Array(gradients.floats("rnn.weight_hh_l0"))) { \.layer.hiddenWeight[$0] }
      check("bias_ih", Array(gradients.floats("rnn.bias_ih_l0"))) { \.layer.inputBias[$0] }
      check("bias_hh", Array(gradients.floats("rnn.bias_hh_l0"))) { \.layer.hiddenBias[$0] }
    }
  }

  /// What truncation drops is not computed, and nothing else changes.
  @Test(arguments: allCells) func leavingOutTheInitialStatesChangesNoOtherBit(cell: Cell) throws {
    try withScratch { scratch in
      let (streams, steps, h) = (3, 4, 7)
      let shape = ModelShape(cell: cell, vocabularySize: 2, embeddingSize: 5, hiddenSize: h, layers: 1)
      let weights = try randomWeights(shape)
      let x = try scratch.uniform(steps * streams, 5)
      let dOutput = try scratch.uniform(steps * streams, h)
      let passes = try [true, false].map { toInitialStates in
        let layer = try makeLayer(0, of: weights, window: steps, streams: streams)
        _ = try layer.forward(x, steps: steps)
        let dInput = try scratch.zeros(steps * streams, 5)
        try layer.backward(dOutput: dOutput, dInput: dInput, steps: steps, toInitialStates: toInitialStates)
        let gradients = try ParameterStore(shape.layout)
        layer.writeGradients(
          input: x, rows: LocalBatch(window: steps, streams: streams, shards: streams).nodes[0],
          with: try WeightGradient(rows: steps * streams, columns: h, .best), to: gradients, steps: steps)
        return (kept: dInput.values + Array(gradients.values.buffer), dropped: layer.dInitialHidden.values)
      }
      #expect(passes[0].kept.map(\.bitPattern) == passes[1].kept.map(\.bitPattern))
      #expect(passes[0].dropped != passes[1].dropped)
    }
  }

  @Test func onlyTheLSTMCarriesACellState() throws {
    for cell in allCells {
      let shape = ModelShape(cell: cell, vocabularySize: 2, embeddingSize: 3, hiddenSize: 4, layers: 1)
      let layer = try makeLayer(0, of: randomWeights(shape), window: 1, streams: 1)
      #expect((layer.cell != nil) == (cell == .lstm))
      #expect((layer.dInitialCell != nil) == (cell == .lstm))
    }
  }

  private static func twin(of store: ParameterStore, _ cell: Cell) -> ReferenceCell {
    func values(_ name: String) -> [Double] { store.floats(name).map { Double($0) } }
    return ReferenceCell(
      cell, inputWeight: values("rnn.weight_ih_l0"), hiddenWeight: values("rnn.weight_hh_l0"),
      inputBias: values("rnn.bias_ih_l0"), hiddenBias: values("rnn.bias_hh_l0"))
  }
}
