import Interfaces
import Kernels
import Parameters
import Sharding

/// What turns the output of a stack into a training loss and its gradient: a softmax over all classes today; an adaptive
/// or sampled one is another type, whose exact loss is a type of its own, as ``FullSoftmax`` is.
package protocol OutputLayer: AnyObject {
  /// Lists and announces the rows that the targets of a batch touch, before the forward pass; nothing where all are.
  func list(_ targets: Buffer<Int32>, _ pass: BackwardPass) throws

  /// Writes and announces the layer's gradients.
  ///
  /// - Parameters:
  ///   - input: [rows, H]
  ///   - dInput: [rows, H], written for the rows that are units.
  ///   - targets: by row; negative: the row is masked, its loss and gradient are zero.
  ///   - units: the rows that have a loss, one list for each subtree.
  ///   - nats: written: a loss for each unit, in their order.
  func lossAndGradient(
    _ input: MatrixView, dInput: MatrixView, targets: Buffer<Int32>, units: [ShardRows], _ pass: BackwardPass,
    nats: inout [Double]
  ) throws
}
