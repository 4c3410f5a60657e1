import CKernels
import Parameters

/// The nonlinearities of an Elman layer.
package enum Activation: String, Sendable, CaseIterable {
  case tanh, relu, sigmoid

  private var code: ls_activation {
    switch self {
    case .tanh: LS_TANH
    case .relu: LS_RELU
    case .sigmoid: LS_SIGMOID
    }
  }

  /// values[rows, H] = activation(values + bias[H])
  package func forward(_ values: MatrixView, bias: UnsafePointer<Float>, _ arithmetic: Arithmetic) {
    arithmetic.kernels.pointee.elman_forward(values.pointer, bias, Int32(values.rows), Int32(values.columns), code)
  }

  /// dValues = (dOutput + dHidden) ⊙ activation'(x), from the outputs alone; all [rows, H] and dense.
  package func backward(
    dValues: MatrixView, outputs: MatrixView, dOutput: MatrixView, dHidden: MatrixView, _ arithmetic: Arithmetic
  ) {
    arithmetic.kernels.pointee.elman_backward(
      dValues.pointer, outputs.pointer, dOutput.pointer, dHidden.pointer, dValues.rows * dValues.columns, code)
  }
}
