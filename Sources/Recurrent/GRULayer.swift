import Arena
import Kernels

/// A layer of GRU cells whose reset gate acts after the product (PyTorch, cuDNN).
///
/// Tape, in floats a window: 2·3H·T·B of gates (the input's and the hidden state's shares have gradients of their own),
/// and H·(T + 1)·B of hidden states.
package final class GRULayer: RecurrentLayer {
  package let hidden: StateTape
  package var timer: PhaseTimer?
  package var probe: NonFiniteProbe?
  private let weights: ModelWeights
  private let index: Int
  private let names: LayerNames
  private let input: InputProjection
  private let recurrent: LayerProducts
  private let inputGates: FloatBuffer  // [T·B, 3H], gate order r z n
  private let hiddenGates: FloatBuffer  // [T·B, 3H]
  private let dHidden: FloatBuffer  // [B, H]
  private let streams: Int
  private let size: Int

  package var dInitialHidden: MatrixView { dHidden.matrix(streams, size) }

  init(_ index: Int, _ weights: ModelWeights, window: Int, streams: Int, tokens: InputTokens?, team: ProductTeam?)
    throws
  {
    size = weights.shape.hiddenSize
    self.streams = streams
    self.weights = weights
    self.index = index
    names = LayerNames(index)
    input = try InputProjection(index, weights, tokens: tokens)
    recurrent = try LayerProducts(weights.layers[index].hidden, team: team)
    hidden = try StateTape(window: window, streams: streams, size: size)
    inputGates = try FloatBuffer(count: window * streams * 3 * size)
    hiddenGates = try FloatBuffer(count: window * streams * 3 * size)
    dHidden = try FloatBuffer(count: streams * size)
  }

  private func gates(_ buffer: FloatBuffer, at step: Int) -> MatrixView {
    buffer.matrix(streams, 3 * size, offset: step * streams * 3 * size)
  }

  private func step(_ t: Int) -> GRUStep {
    GRUStep(
      inputGates: gates(inputGates, at: t), hiddenGates: gates(hiddenGates, at: t), hiddenBefore: hidden.slot(t),
      weights.arithmetic)
  }

  package func forward(_ x: MatrixView, steps: Int) throws -> MatrixView {
    let biases = weights.gruBiases(ofLayer: index)
    timer?.enter(.inputProducts)
    try input.forward(x, into: inputGates.matrix(steps * streams, 3 * size))
    probe?.visit("input product of \(names.layer)", inputGates.matrix(steps * streams, 3 * size), streams: streams)
    for t in 0..<steps {
      timer?.enter(.recurrentProducts)
      try recurrent.forward.multiply(hidden.slot(t), into: gates(hiddenGates, at: t))
      probe?.visit("recurrent product of \(names.layer)", gates(hiddenGates, at: t), timeStep: t)
      timer?.enter(.gates)
      step(t).forwardResetAfter(biases, hidden: hidden.slot(t + 1))
      probe?.visit("gates of \(names.layer)", gates(inputGates, at: t), timeStep: t)
      probe?.visit("hidden state of \(names.layer)", hidden.slot(t + 1), timeStep: t)
    }
    return hidden.after(steps: steps)
  }

  package func backward(dOutput: MatrixView, dInput: MatrixView, steps: Int, toInitialStates: Bool) throws {
    dHidden.fill(0)
    let recurrent = recurrent.requireBackward()
    for t in (0..<steps).reversed() {
      timer?.enter(.gates)
      step(t).backwardResetAfter(
        dOutput: dOutput.rows((t * streams)..<((t + 1) * streams)), dHidden: dInitialHidden,
        dHiddenBefore: dInitialHidden)
      probe?.visit("gradient of the gates of \(names.layer)", gates(inputGates, at: t), timeStep: t)
      if t == 0 && !toInitialStates { break }
      timer?.enter(.recurrentProducts)
      try recurrent.multiply(gates(hiddenGates, at: t), into: dInitialHidden, accumulating: true)
      probe?.visit("gradient of the hidden state of \(names.layer)", dInitialHidden, timeStep: t)
    }
    timer?.enter(.inputProducts)
    try input.backward(inputGates.matrix(steps * streams, 3 * size), into: dInput)
  }

  package func writeGradients(
    input: MatrixView, rows: ShardRows, with product: WeightGradient, to gradients: ParameterStore, steps: Int
  ) {
    self.input.writeGradients(
      inputGates.matrix(steps * streams, 3 * size), input: input, rows: rows, with: product, to: gradients)
    product.accumulate(
      outputs: hiddenGates.matrix(steps * streams, 3 * size), inputs: hidden.before(steps: steps), rows: rows.rows,
      ends: rows.ends, into: gradients.matrix(names.hiddenWeight),
      bias: gradients.floats(names.hiddenBias).baseAddress)
  }
}
