import Arena
import Kernels

/// A layer of LSTM cells.
///
/// Tape, in floats a window: 4H·T·B of gates (activations, then gradients in their place), and H·(T + 1)·B each of
/// hidden and cell states. tanh(c) is computed again in backward.
package final class LSTMLayer: RecurrentLayer {
  package let hidden: StateTape
  package var timer: PhaseTimer?
  package var probe: NonFiniteProbe?
  private let cells: StateTape
  private let arithmetic: Arithmetic
  private let weights: LayerWeights
  private let names: LayerNames
  private let input: InputProjection
  private let recurrent: LayerProducts
  private let gates: FloatBuffer  // [T·B, 4H], gate order i f g o
  private let dHidden: FloatBuffer  // [B, H]
  private let dCell: FloatBuffer  // [B, H]
  private let streams: Int
  private let size: Int

  package var cell: StateTape? { cells }
  package var dInitialHidden: MatrixView { dHidden.matrix(streams, size) }
  package var dInitialCell: MatrixView? { dCell.matrix(streams, size) }

  init(_ index: Int, _ weights: ModelWeights, window: Int, streams: Int, tokens: InputTokens?, team: ProductTeam?)
    throws
  {
    size = weights.shape.hiddenSize
    self.streams = streams
    arithmetic = weights.arithmetic
    self.weights = weights.layers[index]
    names = LayerNames(index)
    input = try InputProjection(index, weights, tokens: tokens)
    recurrent = try LayerProducts(self.weights.hidden, team: team)
    hidden = try StateTape(window: window, streams: streams, size: size)
    cells = try StateTape(window: window, streams: streams, size: size)
    gates = try FloatBuffer(count: window * streams * 4 * size)
    dHidden = try FloatBuffer(count: streams * size)
    dCell = try FloatBuffer(count: streams * size)
  }

  private func gates(at step: Int) -> MatrixView {
    gates.matrix(streams, 4 * size, offset: step * streams * 4 * size)
  }

  package func forward(_ x: MatrixView, steps: Int) throws -> MatrixView {
    timer?.enter(.inputProducts)
    try input.forward(x, into: gates.matrix(steps * streams, 4 * size))
    probe?.visit("input product of \(names.layer)", gates.matrix(steps * streams, 4 * size), streams: streams)
    for t in 0..<steps {
      timer?.enter(.recurrentProducts)
      try recurrent.forward.multiply(hidden.slot(t), into: gates(at: t), accumulating: true)
      probe?.visit("recurrent product of \(names.layer)", gates(at: t), timeStep: t)
      timer?.enter(.gates)
      LSTMStep(gates: gates(at: t), cellBefore: cells.slot(t), cell: cells.slot(t + 1), arithmetic)
        .forward(bias: weights.bias.pointer, hidden: hidden.slot(t + 1))
      if let probe {
        probe.visit("gates of \(names.layer)", gates(at: t), timeStep: t)
        probe.visit("cell state of \(names.layer)", cells.slot(t + 1), timeStep: t)
        probe.visit("hidden state of \(names.layer)", hidden.slot(t + 1), timeStep: t)
      }
    }
    return hidden.after(steps: steps)
  }

  package func backward(dOutput: MatrixView, dInput: MatrixView, steps: Int, toInitialStates: Bool) throws {
    dHidden.fill(0)
    dCell.fill(0)
    let recurrent = recurrent.requireBackward()
    for t in (0..<steps).reversed() {
      timer?.enter(.gates)
      LSTMStep(gates: gates(at: t), cellBefore: cells.slot(t), cell: cells.slot(t + 1), arithmetic)
        .backward(
          dOutput: dOutput.rows((t * streams)..<((t + 1) * streams)), dHidden: dInitialHidden,
          dCell: dCell.matrix(streams, size))
      probe?.visit("gradient of the gates of \(names.layer)", gates(at: t), timeStep: t)
      probe?.visit("gradient of the cell state of \(names.layer)", dCell.matrix(streams, size), timeStep: t)
      if t == 0 && !toInitialStates { break }
      timer?.enter(.recurrentProducts)
      try recurrent.multiply(gates(at: t), into: dInitialHidden)
      probe?.visit("gradient of the hidden state of \(names.layer)", dInitialHidden, timeStep: t)
    }
    timer?.enter(.inputProducts)
    try input.backward(gates.matrix(steps * streams, 4 * size), into: dInput)
  }

  package func writeGradients(
    input: MatrixView, rows: ShardRows, with product: WeightGradient, to gradients: ParameterStore, steps: Int
  ) {
    let dGates = gates.matrix(steps * streams, 4 * size)
    self.input.writeGradients(dGates, input: input, rows: rows, with: product, to: gradients)
    product.accumulate(
      outputs: dGates, inputs: hidden.before(steps: steps), rows: rows.rows, ends: rows.ends,
      into: gradients.matrix(names.hiddenWeight))
    // Both biases are added to the same sum, so they have the same gradient.
    _ = gradients.floats(names.hiddenBias).update(from: gradients.floats(names.inputBias))
  }
}
