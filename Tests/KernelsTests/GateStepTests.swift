import Foundation
import Kernels
import NumericSupport
import Parameters
import Testing

/// The arithmetic between the products, against the cells' formulas in `Double` and their difference quotients.
@Suite struct GateStepTests {
  private static func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }

  /// The central difference quotients of `loss` by each of `values`.
  private func gradient(_ values: [Double], _ loss: ([Double]) -> Double) -> [Double] {
    values.indices.map { i in
      var (above, below) = (values, values)
      above[i] += 1e-5
      below[i] -= 1e-5
      return (loss(above) - loss(below)) / 2e-5
    }
  }

  /// The pre-activations of unit `j`, bias included.
  private func gates(_ values: MatrixView, _ bias: MatrixView, _ row: Int, _ j: Int, of count: Int) -> [Double] {
    let h = values.columns / count
    return (0..<count).map { gate in Double(values[row, gate * h + j]) + Double(bias[0, gate * h + j]) }
  }

  private func expectClose(_ found: Float, _ expected: Double, _ what: String) {
    #expect(abs(Double(found) - expected) < 2e-6, "\(what)")
  }

  /// h and c of one unit, from the pre-activations i f g o and c(t−1).
  private static func lstm(_ v: [Double]) -> (hidden: Double, cell: Double) {
    let cell = sigmoid(v[1]) * v[4] + sigmoid(v[0]) * tanh(v[2])
    return (sigmoid(v[3]) * tanh(cell), cell)
  }

  @Test(arguments: [1, 7, 8, 16, 33]) func lstmStep(hidden h: Int) throws {
    try withEachArithmetic { scratch, arithmetic in
      let rows = 3
      let gates = try scratch.uniform(rows, 4 * h, range: 3)
      let before = try scratch.copy(gates)
      let bias = try scratch.uniform(1, 4 * h)
      let (cellBefore, cell) = (try scratch.uniform(rows, h), try scratch.zeros(rows, h))
      let output = try scratch.zeros(rows, h)
      let (dOutput, dHidden) = (try scratch.uniform(rows, h), try scratch.uniform(rows, h))
      let dCell = try scratch.uniform(rows, h)
      let dCellAfter = try scratch.copy(dCell)
      let step = LSTMStep(gates: gates, cellBefore: cellBefore, cell: cell, arithmetic)
      step.forward(bias: bias.pointer, hidden: output)
      for row in 0..<rows {
        for j in 0..<h {
          let v = self.gates(before, bias, row, j, of: 4)
          let expected = Self.lstm(v + [Double(cellBefore[row, j])])
          expectClose(output[row, j], expected.hidden, "h")
          expectClose(cell[row, j], expected.cell, "c")
        }
      }
      step.backward(dOutput: dOutput, dHidden: dHidden, dCell: dCell)
      for row in 0..<rows {
        for j in 0..<h {
          let v = self.gates(before, bias, row, j, of: 4)
          let (dh, dc) = (Double(dOutput[row, j]) + Double(dHidden[row, j]), Double(dCellAfter[row, j]))
          let expected = gradient(v + [Double(cellBefore[row, j])]) {
            let state = Self.lstm($0)
            return dh * state.hidden + dc * state.cell
          }
          for gate in 0..<4 { expectClose(gates[row, gate * h + j], expected[gate], "gate \(gate)") }
          expectClose(dCell[row, j], expected[4], "c(t-1)")
        }
      }
    }
  }

  /// h of one unit, from the pre-activations r z n of the input's share, those of the hidden state's, and h(t−1).
  private static func resetAfter(_ v: [Double]) -> Double {
    let (r, z) = (sigmoid(v[0] + v[3]), sigmoid(v[1] + v[4]))
    return (1 - z) * tanh(v[2] + r * v[5]) + z * v[6]
  }

  @Test(arguments: [1, 7, 8, 16, 33]) func gruStepWithResetAfterTheProduct(hidden h: Int) throws {
    try withEachArithmetic { scratch, arithmetic in
      let rows = 3
      let (input, recurrent) = (try scratch.uniform(rows, 3 * h, range: 2), try scratch.uniform(rows, 3 * h, range: 2))
      let (inputBefore, recurrentBefore) = (try scratch.copy(input), try scratch.copy(recurrent))
      let (inputBias, hiddenBias) = (try scratch.uniform(1, 3 * h), try scratch.uniform(1, 3 * h))
      let (hiddenBefore, output) = (try scratch.uniform(rows, h), try scratch.zeros(rows, h))
      let (dOutput, dHidden) = (try scratch.uniform(rows, h), try scratch.uniform(rows, h))
      let dh = (0..<(rows * h)).map { Double(dOutput.pointer[$0]) + Double(dHidden.pointer[$0]) }
      func values(_ row: Int, _ j: Int) -> [Double] {
        self.gates(inputBefore, inputBias, row, j, of: 3) + self.gates(recurrentBefore, hiddenBias, row, j, of: 3)
          + [Double(hiddenBefore[row, j])]
      }
      let step = GRUStep(inputGates: input, hiddenGates: recurrent, hiddenBefore: hiddenBefore, arithmetic)
      step.forwardResetAfter(GRUBiases(input: inputBias.pointer, hidden: hiddenBias.pointer), hidden: output)
      for row in 0..<rows {
        for j in 0..<h { expectClose(output[row, j], Self.resetAfter(values(row, j)), "h") }
      }
      // In place, as the layer does it.
      step.backwardResetAfter(dOutput: dOutput, dHidden: dHidden, dHiddenBefore: dHidden)
      for row in 0..<rows {
        for j in 0..<h {
          let expected = gradient(values(row, j)) { dh[row * h + j] * Self.resetAfter($0) }
          for gate in 0..<3 {
            expectClose(input[row, gate * h + j], expected[gate], "input's gate \(gate)")
            expectClose(recurrent[row, gate * h + j], expected[3 + gate], "hidden state's gate \(gate)")
          }
          expectClose(dHidden[row, j], expected[6], "h(t-1)")
        }
      }
    }
  }

  @Test(arguments: [1, 7, 8, 16, 33]) func gruStepWithResetBeforeTheProduct(hidden h: Int) throws {
    try withEachArithmetic { scratch, arithmetic in
      let rows = 3
      let gates = try scratch.uniform(rows, 3 * h, range: 2)
      let before = try scratch.copy(gates)
      let (inputBias, hiddenBias) = (try scratch.uniform(1, 3 * h), try scratch.uniform(1, 3 * h))
      let (hiddenBefore, output) = (try scratch.uniform(rows, h), try scratch.zeros(rows, h))
      let resetHidden = try scratch.zeros(rows, h)
      let (dOutput, dHidden) = (try scratch.uniform(rows, h), try scratch.uniform(rows, h))
      let dResetHidden = try scratch.uniform(rows, h)
      let dh = (0..<(rows * h)).map { Double(dOutput.pointer[$0]) + Double(dHidden.pointer[$0]) }
      /// Pre-activations r z n, with n's product in it, and h(t−1).
      func values(_ row: Int, _ j: Int) -> [Double] {
        let shares = self.gates(before, inputBias, row, j, of: 3)
        return (0..<3).map { shares[$0] + Double(hiddenBias[0, $0 * h + j]) } + [Double(hiddenBefore[row, j])]
      }
      func reset(_ v: [Double]) -> Double { Self.sigmoid(v[0]) * v[3] }
      func state(_ v: [Double]) -> Double { (1 - Self.sigmoid(v[1])) * tanh(v[2]) + Self.sigmoid(v[1]) * v[3] }

      let step = GRUStep(inputGates: gates, hiddenBefore: hiddenBefore, resetHidden: resetHidden, arithmetic)
      let biases = GRUBiases(input: inputBias.pointer, hidden: hiddenBias.pointer)
      step.forwardResetBeforeGates(biases)
      #expect(gates.columns((2 * h)..<(3 * h)).bits == before.columns((2 * h)..<(3 * h)).bits)
      step.forwardResetBeforeOutput(biases, hidden: output)
      for row in 0..<rows {
        for j in 0..<h {
          expectClose(resetHidden[row, j], reset(values(row, j)), "r h")
          expectClose(output[row, j], state(values(row, j)), "h")
        }
      }
      step.backwardResetBeforeOutput(dOutput: dOutput, dHidden: dHidden, dHiddenBefore: dHidden)
      step.backwardResetBeforeGates(dResetHidden: dResetHidden, dHiddenBefore: dHidden)
      for row in 0..<rows {
        for j in 0..<h {
          let dReset = Double(dResetHidden[row, j])
          let expected = gradient(values(row, j)) { dh[row * h + j] * state($0) + dReset * reset($0) }
          for gate in 0..<3 { expectClose(gates[row, gate * h + j], expected[gate], "gate \(gate)") }
          expectClose(dHidden[row, j], expected[3], "h(t-1)")
        }
      }
    }
  }

  @Test(arguments: Activation.allCases, [1, 7, 8, 16, 33])
  func elmanStep(activation: Activation, hidden h: Int) throws {
    try withEachArithmetic { scratch, arithmetic in
      let rows = 3
      let values = try scratch.uniform(rows, h, range: 3)
      let before = try scratch.copy(values)
      let bias = try scratch.uniform(1, h)
      let (dOutput, dHidden) = (try scratch.uniform(rows, h), try scratch.uniform(rows, h))
      let dValues = try scratch.zeros(rows, h)
      func state(_ x: Double) -> Double {
        switch activation {
        case .tanh: tanh(x)
        case .relu: max(0, x)
        case .sigmoid: Self.sigmoid(x)
        }
      }
      activation.forward(values, bias: bias.pointer, arithmetic)
      activation.backward(dValues: dValues, outputs: values, dOutput: dOutput, dHidden: dHidden, arithmetic)
      for row in 0..<rows {
        for j in 0..<h {
          let x = Double(before[row, j]) + Double(bias[0, j])
          expectClose(values[row, j], state(x), "h")
          let dh = Double(dOutput[row, j]) + Double(dHidden[row, j])
          expectClose(dValues[row, j], gradient([x]) { dh * state($0[0]) }[0], "x")
        }
      }
    }
  }

  @Test(arguments: Activation.allCases) func notANumberIsNotSwallowed(activation: Activation) throws {
    try withEachArithmetic { scratch, arithmetic in
      let (values, bias) = (try scratch.zeros(1, 20), try scratch.zeros(1, 20))
      values[0, 17] = .nan
      activation.forward(values, bias: bias.pointer, arithmetic)
      #expect(values[0, 17].isNaN && !values[0, 16].isNaN)
    }
  }
}
