import Interfaces
import Kernels
import Parameters

/// The parameters of one recurrent layer, or of one direction of a bidirectional one.
package struct CellParameters: Sendable {
  package let cell: Cell
  /// As messages name it, such as "layer 0".
  package let layerName: String
  /// [gates·H, In]
  package let inputWeight: Parameter
  /// [gates·H, H]
  package let hiddenWeight: Parameter
  /// [gates·H]
  package let inputBias: Parameter
  /// [gates·H]
  package let hiddenBias: Parameter

  /// Declares them under PyTorch's names, such as `rnn.weight_ih_l0` and `rnn.weight_ih_l0_reverse`.
  ///
  /// - Parameters:
  ///   - prefix: the module's name in PyTorch.
  ///   - layer: from 0.
  ///   - reverse: whether this is the direction against time.
  package init(
    _ cell: Cell, prefix: String, layer: Int, reverse: Bool = false, inputSize: Int, hiddenSize: Int,
    _ layout: inout ParameterLayout
  ) {
    let rows = cell.gates * hiddenSize
    let name = "l\(layer)\(reverse ? "_reverse" : "")"
    func declare(_ tensor: String, _ shape: [Int], _ uses: Parameter.Uses, packedRows: [Int]? = nil) -> Parameter {
      layout.declare("\(prefix).\(tensor)_\(name)", shape, uses, packedRows: packedRows, gateOrder: cell.gateOrder)
    }
    self.cell = cell
    layerName = "layer \(layer)\(reverse ? ", reverse" : "")"
    inputWeight = declare("weight_ih", [rows, inputSize], .product)
    let split = cell == .gru(.before) ? [2 * hiddenSize, hiddenSize] : nil
    hiddenWeight = declare("weight_hh", [rows, hiddenSize], .product, packedRows: split)
    inputBias = declare("bias_ih", [rows], .bias)
    hiddenBias = declare("bias_hh", [rows], .bias)
  }

  /// H
  package var hiddenSize: Int { hiddenWeight.columns }
  /// gates·H
  package var gateColumns: Int { hiddenWeight.rows }

  /// Makes the forward half of the cell that these parameters are for.
  package func makeCell(_ weights: PackedParameters, rows: Int, sequences: Int, _ workspace: Workspace) throws
    -> any RecurrentCell
  {
    switch cell {
    case .lstm: try LSTMCell(self, weights, rows: rows, sequences: sequences, workspace)
    case .gru(.after): try GRUCell(self, weights, rows: rows, sequences: sequences, workspace)
    case .gru(.before): try ResetBeforeGRUCell(self, weights, rows: rows, sequences: sequences, workspace)
    case .elman(let activation):
      try ElmanCell(self, weights, activation: activation, rows: rows, sequences: sequences, workspace)
    }
  }
}

extension CellParameters {
  /// Adds to the input-side bias of an LSTM's forget gate (Gers et al. 2000); nothing in other cells.
  package func addForgetBias(_ value: Double, to store: ParameterStore) {
    guard cell == .lstm, value != 0 else { return }
    let bias = store[inputBias]
    for i in hiddenSize..<(2 * hiddenSize) { bias[i] += Float(value) }
  }
}
