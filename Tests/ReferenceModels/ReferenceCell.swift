import Glibc
import Kernels
import Layers

/// The naive twin of a recurrent layer: one stream and one value at a time, in `Double`, forward only.
///
/// Tests hold the layers against it, and their gradients against its central differences.
package struct ReferenceCell: Sendable {
  package let cell: Cell
  /// In
  package let inputSize: Int
  /// H
  package let hiddenSize: Int
  /// [gates·H, In], row-major.
  package var inputWeight: [Double]
  /// [gates·H, H], row-major.
  package var hiddenWeight: [Double]
  /// [gates·H]
  package var inputBias: [Double]
  /// [gates·H]
  package var hiddenBias: [Double]

  package init(
    _ cell: Cell, inputWeight: [Double], hiddenWeight: [Double], inputBias: [Double], hiddenBias: [Double]
  ) {
    self.cell = cell
    hiddenSize = inputBias.count / cell.gates
    inputSize = inputWeight.count / inputBias.count
    self.inputWeight = inputWeight
    self.hiddenWeight = hiddenWeight
    self.inputBias = inputBias
    self.hiddenBias = hiddenBias
    precondition(hiddenWeight.count == inputBias.count * hiddenSize, "shapes don't fit")
  }

  /// One time step of one stream.
  ///
  /// - Parameters:
  ///   - input: [In]
  ///   - hidden: [H], h(t−1) in, h(t) out.
  ///   - cellState: [H], c(t−1) in, c(t) out; left alone by cells that have none.
  package func step(_ input: ArraySlice<Double>, hidden: inout [Double], cellState: inout [Double]) {
    let before = hidden
    switch cell {
    case .lstm:
      for j in 0..<hiddenSize {
        let i = sigmoid(inputShare(0, j, input) + hiddenShare(0, j, before))
        let f = sigmoid(inputShare(1, j, input) + hiddenShare(1, j, before))
        let g = tanh(inputShare(2, j, input) + hiddenShare(2, j, before))
        let o = sigmoid(inputShare(3, j, input) + hiddenShare(3, j, before))
        cellState[j] = f * cellState[j] + i * g
        hidden[j] = o * tanh(cellState[j])
      }
    case .gru(.after):
      for j in 0..<hiddenSize {
        let r = sigmoid(inputShare(0, j, input) + hiddenShare(0, j, before))
        let z = sigmoid(inputShare(1, j, input) + hiddenShare(1, j, before))
        let n = tanh(inputShare(2, j, input) + r * hiddenShare(2, j, before))
        hidden[j] = (1 - z) * n + z * before[j]
      }
    case .gru(.before):
      let reset = before.indices.map { before[$0] * sigmoid(inputShare(0, $0, input) + hiddenShare(0, $0, before)) }
      for j in 0..<hiddenSize {
        let z = sigmoid(inputShare(1, j, input) + hiddenShare(1, j, before))
        let n = tanh(inputShare(2, j, input) + hiddenShare(2, j, reset))
        hidden[j] = (1 - z) * n + z * before[j]
      }
    case .elman(let activation):
      for j in 0..<hiddenSize {
        let x = inputShare(0, j, input) + hiddenShare(0, j, before)
        hidden[j] =
          switch activation {
          case .tanh: tanh(x)
          case .relu: max(0, x)
          case .sigmoid: sigmoid(x)
          }
      }
    }
  }

  /// W_ih x + b_ih, of unit `unit` of gate `gate`.
  private func inputShare(_ gate: Int, _ unit: Int, _ input: ArraySlice<Double>) -> Double {
    let row = gate * hiddenSize + unit
    var sum = inputBias[row]
    for k in 0..<inputSize { sum += inputWeight[row * inputSize + k] * input[input.startIndex + k] }
    return sum
  }

  /// W_hh h + b_hh, of unit `unit` of gate `gate`.
  private func hiddenShare(_ gate: Int, _ unit: Int, _ hidden: [Double]) -> Double {
    let row = gate * hiddenSize + unit
    var sum = hiddenBias[row]
    for k in 0..<hiddenSize { sum += hiddenWeight[row * hiddenSize + k] * hidden[k] }
    return sum
  }

  private func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
}

extension ReferenceCell {
  /// The states of all streams of a layer.
  package struct States: Sendable, Equatable {
    /// [H] for each stream.
    package var hidden: [[Double]]
    /// [H] for each stream; used by an LSTM alone.
    package var cell: [[Double]]

    package init(streams: Int, hiddenSize: Int) {
      hidden = Array(repeating: Array(repeating: 0, count: hiddenSize), count: streams)
      cell = hidden
    }
  }

  /// A window of all streams.
  ///
  /// - Parameters:
  ///   - input: [T·B, In], time-major.
  ///   - states: those before the window in, those after it out.
  /// - Returns: [T·B, H]
  package func window(_ input: [Double], states: inout States) -> [Double] {
    let streams = states.hidden.count
    var output: [Double] = []
    for row in 0..<(input.count / inputSize) {
      let stream = row % streams
      step(
        input[(row * inputSize)..<((row + 1) * inputSize)], hidden: &states.hidden[stream],
        cellState: &states.cell[stream])
      output += states.hidden[stream]
    }
    return output
  }
}
