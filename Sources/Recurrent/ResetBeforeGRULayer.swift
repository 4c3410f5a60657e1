import Arena
import Kernels

/// A layer of GRU cells whose reset gate acts before the product (Cho et al. 2014): two products follow one another in
/// each time step, h·W_{r,z}ᵀ and then (r ⊙ h)·W_nᵀ.
///
/// Tape, in floats a window: 3H·T·B of gates, H·T·B of r ⊙ h, and H·(T + 1)·B of hidden states.
package final class ResetBeforeGRULayer: RecurrentLayer {
  package let hidden: StateTape
  package var timer: PhaseTimer?
  package var probe: NonFiniteProbe?
  private let weights: ModelWeights
  private let index: Int
  private let names: LayerNames
  private let input: InputProjection
  private let recurrent: LayerProducts
  private let candidate: LayerProducts
  private let gates: FloatBuffer  // [T·B, 3H], gate order r z n
  private let resetHidden: FloatBuffer  // [T·B, H]
  private let dResetHidden: FloatBuffer  // [B, H]
  private let dHidden: FloatBuffer  // [B, H]
  private let share: FloatBuffer  // [B, 2H] or [B, H]: columns of the gates, made dense for a product
  private let streams: Int
  private let size: Int

  package var dInitialHidden: MatrixView { dHidden.matrix(streams, size) }

  init(_ index: Int, _ weights: ModelWeights, window: Int, streams: Int, tokens: InputTokens?, team: ProductTeam?)
    throws
  {
    guard let candidate = weights.layers[index].candidate else { preconditionFailure("weights of another cell") }
    size = weights.shape.hiddenSize
    self.streams = streams
    self.weights = weights
    self.index = index
    names = LayerNames(index)
    input = try InputProjection(index, weights, tokens: tokens)
    recurrent = try LayerProducts(weights.layers[index].hidden, team: team)
    self.candidate = try LayerProducts(candidate, team: team)
    hidden = try StateTape(window: window, streams: streams, size: size)
    gates = try FloatBuffer(count: window * streams * 3 * size)
    resetHidden = try FloatBuffer(count: window * streams * size)
    dResetHidden = try FloatBuffer(count: streams * size)
    dHidden = try FloatBuffer(count: streams * size)
    share = try FloatBuffer(count: streams * 2 * size)
  }

  private func gates(at step: Int) -> MatrixView {
    gates.matrix(streams, 3 * size, offset: step * streams * 3 * size)
  }

  private var resetAndUpdate: Range<Int> { 0..<(2 * size) }
  private var newState: Range<Int> { (2 * size)..<(3 * size) }

  private func step(_ t: Int) -> GRUStep {
    GRUStep(
      inputGates: gates(at: t), hiddenBefore: hidden.slot(t),
      resetHidden: resetHidden.matrix(streams, size, offset: t * streams * size), weights.arithmetic)
  }

  /// columns += x·W
  private func add(_ product: Product, _ x: MatrixView, to columns: MatrixView) throws {
    let y = share.matrix(streams, columns.columns)
    try product.multiply(x, into: y)
    weights.arithmetic.add(y, to: columns)
  }

  private func dense(_ columns: MatrixView) -> MatrixView {
    let copy = share.matrix(streams, columns.columns)
    copy.update(from: columns)
    return copy
  }

  package func forward(_ x: MatrixView, steps: Int) throws -> MatrixView {
    let biases = weights.gruBiases(ofLayer: index)
    timer?.enter(.inputProducts)
    try input.forward(x, into: gates.matrix(steps * streams, 3 * size))
    probe?.visit("input product of \(names.layer)", gates.matrix(steps * streams, 3 * size), streams: streams)
    for t in 0..<steps {
      let step = step(t)
      timer?.enter(.recurrentProducts)
      try add(recurrent.forward, hidden.slot(t), to: gates(at: t).columns(resetAndUpdate))
      timer?.enter(.gates)
      step.forwardResetBeforeGates(biases)
      timer?.enter(.recurrentProducts)
      try add(
        candidate.forward, resetHidden.matrix(streams, size, offset: t * streams * size),
        to: gates(at: t).columns(newState))
      timer?.enter(.gates)
      step.forwardResetBeforeOutput(biases, hidden: hidden.slot(t + 1))
      probe?.visit("gates of \(names.layer)", gates(at: t), timeStep: t)
      probe?.visit("hidden state of \(names.layer)", hidden.slot(t + 1), timeStep: t)
    }
    return hidden.after(steps: steps)
  }

  package func backward(dOutput: MatrixView, dInput: MatrixView, steps: Int, toInitialStates: Bool) throws {
    dHidden.fill(0)
    let recurrent = recurrent.requireBackward()
    let candidate = candidate.requireBackward()
    for t in (0..<steps).reversed() {
      let step = step(t)
      timer?.enter(.gates)
      step.backwardResetBeforeOutput(
        dOutput: dOutput.rows((t * streams)..<((t + 1) * streams)), dHidden: dInitialHidden,
        dHiddenBefore: dInitialHidden)
      timer?.enter(.recurrentProducts)
      try candidate.multiply(dense(gates(at: t).columns(newState)), into: dResetHidden.matrix(streams, size))
      timer?.enter(.gates)
      step.backwardResetBeforeGates(
        dResetHidden: dResetHidden.matrix(streams, size), dHiddenBefore: dInitialHidden)
      probe?.visit("gradient of the gates of \(names.layer)", gates(at: t), timeStep: t)
      if t == 0 && !toInitialStates { break }
      timer?.enter(.recurrentProducts)
      try recurrent.multiply(dense(gates(at: t).columns(resetAndUpdate)), into: dInitialHidden, accumulating: true)
      probe?.visit("gradient of the hidden state of \(names.layer)", dInitialHidden, timeStep: t)
    }
    timer?.enter(.inputProducts)
    try input.backward(gates.matrix(steps * streams, 3 * size), into: dInput)
  }

  package func writeGradients(
    input: MatrixView, rows: ShardRows, with product: WeightGradient, to gradients: ParameterStore, steps: Int
  ) {
    let dGates = gates.matrix(steps * streams, 3 * size)
    let dRecurrent = gradients.matrix(names.hiddenWeight)
    self.input.writeGradients(dGates, input: input, rows: rows, with: product, to: gradients)
    product.accumulate(
      outputs: dGates.columns(resetAndUpdate), inputs: hidden.before(steps: steps), rows: rows.rows, ends: rows.ends,
      into: dRecurrent.rows(resetAndUpdate))
    product.accumulate(
      outputs: dGates.columns(newState), inputs: resetHidden.matrix(steps * streams, size), rows: rows.rows,
      ends: rows.ends, into: dRecurrent.rows(newState))
    // Both biases are added to the same sum, so they have the same gradient.
    _ = gradients.floats(names.hiddenBias).update(from: gradients.floats(names.inputBias))
  }
}
