import CKernels
import Glibc
import Parameters

/// Softmax and cross-entropy over rows of logits, with the decoder's bias added on the way.
extension Arithmetic {
  /// Turns logits into the gradient of the summed cross-entropy, softmax(logits + bias) − onehot(target), in place.
  ///
  /// - Parameters:
  ///   - logits: [rows, V].
  ///   - targets: one per row; negative: the row is masked, its gradient and loss are zero.
  ///   - losses: [rows], nats.
  package func softmaxGradient(
    _ logits: MatrixView, bias: UnsafePointer<Float>, targets: UnsafePointer<Int32>,
    losses: UnsafeMutablePointer<Double>
  ) {
    for row in 0..<logits.rows {
      losses[row] = kernels.pointee.softmax_gradient(
        logits.pointer + row * logits.stride, bias, Int32(logits.columns), targets[row])
    }
  }

  /// The losses alone, in nats; `logits` is left as scratch.
  package func softmaxLoss(
    _ logits: MatrixView, bias: UnsafePointer<Float>, targets: UnsafePointer<Int32>,
    losses: UnsafeMutablePointer<Double>
  ) {
    for row in 0..<logits.rows {
      losses[row] = kernels.pointee.softmax_loss(
        logits.pointer + row * logits.stride, bias, Int32(logits.columns), targets[row])
    }
  }
}

package enum Softmax {
  /// The naive twin of ``Arithmetic/softmaxGradient(_:bias:targets:losses:)``, in `Double`.
  package static func naiveGradient(
    _ logits: MatrixView, bias: UnsafePointer<Float>, targets: UnsafePointer<Int32>,
    losses: UnsafeMutablePointer<Double>
  ) {
    for row in 0..<logits.rows {
      let target = Int(targets[row])
      let values = (0..<logits.columns).map { Double(logits[row, $0]) + Double(bias[$0]) }
      let maximum = values.max() ?? 0
      let sum = values.reduce(0) { $0 + exp($1 - maximum) }
      losses[row] = target < 0 ? 0 : log(sum) + maximum - values[target]
      for column in 0..<logits.columns {
        let probability = exp(values[column] - maximum) / sum
        logits[row, column] = target < 0 ? 0 : Float(probability - (column == target ? 1 : 0))
      }
    }
  }
}
