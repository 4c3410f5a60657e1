import Arena
import Kernels

/// A layer of Elman cells: h = activation(W_ih x + b_ih + W_hh h + b_hh).
///
/// Tape, in floats a window: H·(T + 1)·B of hidden states and H·T·B of gradients.
package final class ElmanLayer: RecurrentLayer {
  package let hidden: StateTape
  package var timer: PhaseTimer?
  private let arithmetic: Arithmetic
  package var probe: NonFiniteProbe?
  private let weights: LayerWeights
  private let names: LayerNames
  private let activation: Activation
  private let input: InputProjection
  private let recurrent: LayerProducts
  private let dValues: FloatBuffer  // [T·B, H]
  private let dHidden: FloatBuffer  // [B, H]
  private let streams: Int
  private let size: Int

  package var dInitialHidden: MatrixView { dHidden.matrix(streams, size) }

  init(
    _ index: Int, _ weights: ModelWeights, activation: Activation, window: Int, streams: Int, tokens: InputTokens?,
    team: ProductTeam?
  ) throws {
    size = weights.shape.hiddenSize
    self.streams = streams
    self.activation = activation
    arithmetic = weights.arithmetic
    self.weights = weights.layers[index]
    names = LayerNames(index)
    input = try InputProjection(index, weights, tokens: tokens)
    recurrent = try LayerProducts(self.weights.hidden, team: team)
    hidden = try StateTape(window: window, streams: streams, size: size)
    dValues = try FloatBuffer(count: window * streams * size)
    dHidden = try FloatBuffer(count: streams * size)
  }

  package func forward(_ x: MatrixView, steps: Int) throws -> MatrixView {
    // The pre-activations are computed where the hidden states will stand.
    timer?.enter(.inputProducts)
    try input.forward(x, into: hidden.after(steps: steps))
    probe?.visit("input product of \(names.layer)", hidden.after(steps: steps), streams: streams)
    for t in 0..<steps {
      timer?.enter(.recurrentProducts)
      try recurrent.forward.multiply(hidden.slot(t), into: hidden.slot(t + 1), accumulating: true)
      probe?.visit("recurrent product of \(names.layer)", hidden.slot(t + 1), timeStep: t)
      timer?.enter(.gates)
      activation.forward(hidden.slot(t + 1), bias: weights.bias.pointer, arithmetic)
      probe?.visit("hidden state of \(names.layer)", hidden.slot(t + 1), timeStep: t)
    }
    return hidden.after(steps: steps)
  }

  package func backward(dOutput: MatrixView, dInput: MatrixView, steps: Int, toInitialStates: Bool) throws {
    dHidden.fill(0)
    let recurrent = recurrent.requireBackward()
    for t in (0..<steps).reversed() {
      let d = dValues.matrix(streams, size, offset: t * streams * size)
      timer?.enter(.gates)
      activation.backward(
        dValues: d, outputs: hidden.slot(t + 1), dOutput: dOutput.rows((t * streams)..<((t + 1) * streams)),
        dHidden: dInitialHidden, arithmetic)
      probe?.visit("gradient of the pre-activation of \(names.layer)", d, timeStep: t)
      if t == 0 && !toInitialStates { break }
      timer?.enter(.recurrentProducts)
      try recurrent.multiply(d, into: dInitialHidden)
      probe?.visit("gradient of the hidden state of \(names.layer)", dInitialHidden, timeStep: t)
    }
    timer?.enter(.inputProducts)
    try input.backward(dValues.matrix(steps * streams, size), into: dInput)
  }

  package func writeGradients(
    input: MatrixView, rows: ShardRows, with product: WeightGradient, to gradients: ParameterStore, steps: Int
  ) {
    let d = dValues.matrix(steps * streams, size)
    self.input.writeGradients(d, input: input, rows: rows, with: product, to: gradients)
    product.accumulate(
      outputs: d, inputs: hidden.before(steps: steps), rows: rows.rows, ends: rows.ends,
      into: gradients.matrix(names.hiddenWeight))
    // Both biases are added to the same sum, so they have the same gradient.
    _ = gradients.floats(names.hiddenBias).update(from: gradients.floats(names.inputBias))
  }
}
