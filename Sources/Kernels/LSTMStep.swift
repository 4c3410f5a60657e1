import CKernels
import Parameters

/// The element-by-element part of one LSTM time step, between the products.
package struct LSTMStep {
  /// [rows, 4H], gate order i f g o: pre-activations without bias before forward, activations after it, gradients of
  /// the pre-activations after backward.
  package var gates: MatrixView
  /// [rows, H]: c(t-1)
  package var cellBefore: MatrixView
  /// [rows, H]: c(t)
  package var cell: MatrixView

  private let arithmetic: Arithmetic

  package init(gates: MatrixView, cellBefore: MatrixView, cell: MatrixView, _ arithmetic: Arithmetic) {
    (self.arithmetic, self.gates, self.cellBefore, self.cell) = (arithmetic, gates, cellBefore, cell)
  }

  private func job() -> ls_lstm_step {
    ls_lstm_step(
      rows: Int32(gates.rows), hidden: Int32(cell.columns), gates: gates.pointer, bias: nil,
      cell_before: UnsafePointer(cellBefore.pointer), cell: cell.pointer, hidden_out: nil, d_output: nil,
      d_hidden: nil, d_cell: nil)
  }

  /// i, f, o = σ, g = tanh of the pre-activations; c = f·c(t-1) + i·g; h = o·tanh(c).
  /// Hochreiter & Schmidhuber 1997; gate order as in PyTorch: i f g o.
  package func forward(bias: UnsafePointer<Float>, hidden: MatrixView) {
    var step = job()
    step.bias = bias
    step.hidden_out = hidden.pointer
    arithmetic.kernels.pointee.lstm_forward(&step)
  }

  /// - Parameters:
  ///   - dOutput: [rows, H], from the layer above. `dHidden`: [rows, H], from the next time step.
  ///   - dCell: [rows, H], dL/dc(t) in, dL/dc(t-1) out.
  package func backward(dOutput: MatrixView, dHidden: MatrixView, dCell: MatrixView) {
    var step = job()
    step.d_output = UnsafePointer(dOutput.pointer)
    step.d_hidden = UnsafePointer(dHidden.pointer)
    step.d_cell = dCell.pointer
    arithmetic.kernels.pointee.lstm_backward(&step)
  }
}
