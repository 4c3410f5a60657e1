import Interfaces
import Kernels
import Layers
import Models
import NumericSupport
import Parameters
import ReferenceModels
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
      // One step more than is used, as in a ragged window.
      let layer = try TestedLayer(cell, input: sizes.input, hidden: h, steps: steps + 1, streams: streams)
      let x = try scratch.uniform(steps * streams, sizes.input)
      let dOutput = try scratch.uniform(steps * streams, h)
      let initialHidden = try scratch.uniform(streams, h)
      let initialCell = try scratch.uniform(streams, h)
      layer.cell.hidden.initial(streams).update(from: initialHidden)
      layer.cell.cellState?.initial(streams).update(from: initialCell)

      let output = try layer.forward(x, steps: steps)
      var point = Point(
        layer: layer.twin, x: x.values.map { Double($0) },
        states: .init(streams: streams, hiddenSize: h))
      for b in 0..<streams {
        point.states.hidden[b] = initialHidden.rows(b..<(b + 1)).values.map { Double($0) }
        point.states.cell[b] = initialCell.rows(b..<(b + 1)).values.map { Double($0) }
      }
      var after = point.states
      #expect(largestError(output.values, point.layer.window(point.x, states: &after)) < 2e-6)
      if let cells = layer.cell.cellState {
        #expect(largestError(cells.after(step: steps - 1, layer.pass).values, after.cell.flatMap { $0 }) < 2e-6)
      }

      let dInput = try layer.backward(dOutput: dOutput, .toInitial)
      let dLoss = dOutput.values.map { Double($0) }
      func check(_ name: String, _ found: [Float], _ path: (Int) -> WritableKeyPath<Point, Double>) {
        let entries = stride(from: 0, to: found.count, by: sizes.every)
        let expected = entries.map { centralDifference(&point, path($0)) { $0.loss(dLoss) } }
        let error = largestError(entries.map { found[$0] }, expected)
        #expect(error < 1e-5, "\(name)")
      }
      check("x", dInput) { \.x[$0] }
      check("h0", layer.dInitialHidden) { \.states.hidden[$0 / h][$0 % h] }
      if let dCell = layer.dInitialCell { check("c0", dCell) { \.states.cell[$0 / h][$0 % h] } }
      check("weight_ih", layer.gradient(layer.parameters.inputWeight)) { \.layer.inputWeight[$0] }
      check("weight_hh", layer.gradient(layer.parameters.hiddenWeight)) { \.layer.hiddenWeight[$0] }
      check("bias_ih", layer.gradient(layer.parameters.inputBias)) { \.layer.inputBias[$0] }
      check("bias_hh", layer.gradient(layer.parameters.hiddenBias)) { \.layer.hiddenBias[$0] }
    }
  }

  /// What truncation drops is not computed, and nothing else changes.
  @Test(arguments: allCells) func leavingOutTheInitialStatesChangesNoOtherBit(cell: Cell) throws {
    try withScratch { scratch in
      let (streams, steps, h) = (3, 4, 7)
      let x = try scratch.uniform(steps * streams, 5)
      let dOutput = try scratch.uniform(steps * streams, h)
      let passes = try [StateFlow.toInitial, []].map { flow in
        let layer = try TestedLayer(cell, input: 5, hidden: h, steps: steps, streams: streams)
        _ = try layer.forward(x, steps: steps)
        let dInput = try layer.backward(dOutput: dOutput, flow)
        return (kept: dInput + layer.gradients, dropped: layer.dInitialHidden)
      }
      #expect(passes[0].kept.map(\.bitPattern) == passes[1].kept.map(\.bitPattern))
      #expect(passes[0].dropped != passes[1].dropped)
    }
  }

  @Test(arguments: allCells) func onlyTheLSTMCarriesACellState(cell: Cell) throws {
    let layer = try TestedLayer(cell, input: 3, hidden: 4, steps: 1, streams: 1)
    #expect((layer.cell.cellState != nil) == (cell == .lstm))
    #expect((layer.dInitialCell != nil) == (cell == .lstm))
  }
}
