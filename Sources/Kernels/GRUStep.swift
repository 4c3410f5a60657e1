import CKernels
import Parameters

/// The element-by-element parts of one GRU time step.
package struct GRUStep {
  /// [rows, 3H], gate order r z n: the input's share of the pre-activations.
  package var inputGates: MatrixView
  /// [rows, 3H]: the hidden state's share; the reset-after form only.
  package var hiddenGates: MatrixView?
  /// [rows, H]: h(t-1)
  package var hiddenBefore: MatrixView
  /// [rows, H]: r ⊙ h(t-1); the reset-before form only.
  package var resetHidden: MatrixView?

  private let arithmetic: Arithmetic

  package init(
    inputGates: MatrixView, hiddenGates: MatrixView? = nil, hiddenBefore: MatrixView, resetHidden: MatrixView? = nil,
    _ arithmetic: Arithmetic
  ) {
    (self.arithmetic, self.inputGates, self.hiddenGates) = (arithmetic, inputGates, hiddenGates)
    (self.hiddenBefore, self.resetHidden) = (hiddenBefore, resetHidden)
  }

  private func job() -> ls_gru_step {
    ls_gru_step(
      rows: Int32(inputGates.rows), hidden: Int32(hiddenBefore.columns), input_gates: inputGates.pointer,
      hidden_gates: hiddenGates?.pointer, input_bias: nil, hidden_bias: nil,
      hidden_before: UnsafePointer(hiddenBefore.pointer), hidden_out: nil, reset_hidden: resetHidden?.pointer,
      d_output: nil, d_hidden: nil, d_hidden_before: nil, d_reset_hidden: nil)
  }

  private func forwardJob(_ biases: GRUBiases, _ hidden: MatrixView? = nil) -> ls_gru_step {
    var step = job()
    step.input_bias = biases.input
    step.hidden_bias = biases.hidden
    step.hidden_out = hidden?.pointer
    return step
  }

  private func backwardJob(_ dOutput: MatrixView, _ dHidden: MatrixView, _ dHiddenBefore: MatrixView) -> ls_gru_step {
    var step = job()
    step.d_output = UnsafePointer(dOutput.pointer)
    step.d_hidden = UnsafePointer(dHidden.pointer)
    step.d_hidden_before = dHiddenBefore.pointer
    return step
  }

  /// Reset gate after the product, as in PyTorch and cuDNN.
  package func forwardResetAfter(_ biases: GRUBiases, hidden: MatrixView) {
    var step = forwardJob(biases, hidden)
    arithmetic.kernels.pointee.gru_after_forward(&step)
  }

  /// Leaves the gradients of the pre-activations in `inputGates` and `hiddenGates`, and in `dHiddenBefore` the part of
  /// dL/dh(t-1) that does not pass through a product.
  package func backwardResetAfter(dOutput: MatrixView, dHidden: MatrixView, dHiddenBefore: MatrixView) {
    var step = backwardJob(dOutput, dHidden, dHiddenBefore)
    arithmetic.kernels.pointee.gru_after_backward(&step)
  }

  /// Reset gate before the product (Cho et al. 2014), first half: r, z and r ⊙ h(t-1).
  package func forwardResetBeforeGates(_ biases: GRUBiases) {
    var step = forwardJob(biases)
    arithmetic.kernels.pointee.gru_before_forward_gates(&step)
  }

  /// Second half, after W_hn (r ⊙ h) was added to the n columns.
  package func forwardResetBeforeOutput(_ biases: GRUBiases, hidden: MatrixView) {
    var step = forwardJob(biases, hidden)
    arithmetic.kernels.pointee.gru_before_forward_output(&step)
  }

  /// Backward of the second half: gradients of z and n, and the direct part of dL/dh(t-1).
  package func backwardResetBeforeOutput(dOutput: MatrixView, dHidden: MatrixView, dHiddenBefore: MatrixView) {
    var step = backwardJob(dOutput, dHidden, dHiddenBefore)
    arithmetic.kernels.pointee.gru_before_backward_output(&step)
  }

  /// Backward of the first half, given dL/d(r ⊙ h).
  package func backwardResetBeforeGates(dResetHidden: MatrixView, dHiddenBefore: MatrixView) {
    var step = job()
    step.d_reset_hidden = UnsafePointer(dResetHidden.pointer)
    step.d_hidden_before = dHiddenBefore.pointer
    arithmetic.kernels.pointee.gru_before_backward_gates(&step)
  }
}

/// The two biases of a GRU layer, each [3H].
package struct GRUBiases {
  let input: UnsafePointer<Float>
  let hidden: UnsafePointer<Float>

  package init(input: UnsafePointer<Float>, hidden: UnsafePointer<Float>) {
    (self.input, self.hidden) = (input, hidden)
  }
}
