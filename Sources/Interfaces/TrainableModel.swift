import Parameters
import Sharding

/// A model and its tapes, of one worker, as trainer and exchange see it.
package protocol GradientModel: AnyObject {
  /// In the order of completion, equal on every worker.
  var addends: [Addend] { get }
  /// One for each of the worker's subtrees. They belong to the exchange from `didFinish` until the step is complete.
  var gradients: [SubtreeGradient] { get }
  /// What goes from batch to batch; empty for a task of bounded sequences.
  var carried: [CarriedState] { get }
  /// Rows that the first layer's products with its input had in the last pass.
  var inputRows: InputRows { get }
}

/// A model that learns from batches of one kind of input.
package protocol TrainableModel<Input>: GradientModel {
  associatedtype Input

  /// A batch forward and backward: fills ``gradients`` with sums over the batch's units, and announces them.
  ///
  /// - Parameters:
  ///   - observer: told what becomes final and asked before weights are read.
  ///   - nats: written: a loss for each unit, in the order of ``Batch/units``.
  func trainingPass(_ batch: Batch<Input>, observer: any PassObserver, nats: inout [Double]) throws
}

/// Rows of the first layer's products with its input: at most the positions of a batch, and fewer where positions of one
/// token are computed together.
package struct InputRows: Sendable, Equatable {
  package var forward = 0
  /// Of both products that lead back: for dL/dx and for dL/dW.
  package var backward = 0

  package init(forward: Int = 0, backward: Int = 0) { (self.forward, self.backward) = (forward, backward) }
}

/// A state that a model carries from batch to batch, such as `hidden_l0`.
package struct CarriedState {
  package let name: String
  /// [B, H]: a row for each of the worker's sequences.
  package let values: MatrixView

  package init(_ name: String, _ values: MatrixView) { (self.name, self.values) = (name, values) }
}

/// Measures a model's exact loss; an n-gram model conforms to this alone.
package protocol Scorer<Input>: AnyObject {
  associatedtype Input

  /// Forgets what was carried over: the start of a text.
  func resetStates()

  /// - Parameter nats: written: a loss for each unit, in the order of ``Batch/units``.
  func score(_ batch: Batch<Input>, nats: inout [Double]) throws
}

/// Measures a model's loss and gives its answers from one forward pass.
package protocol Predictor<Input>: Scorer {
  /// As ``score(_:nats:)``.
  ///
  /// - Parameter answers: written: the most probable class of each unit.
  func predict(_ batch: Batch<Input>, nats: inout [Double], answers: inout [Int32]) throws

  /// Computes the probability of each class of every unit.
  ///
  /// - Parameter visit: called once for each unit with its place in ``Batch/units``; classes by id.
  func probabilities(_ batch: Batch<Input>, _ visit: (_ unit: Int, _ classes: [Double]) -> Void) throws
}

/// Extends texts one token at a time.
package protocol StepDecoder: AnyObject {
  /// Forgets all texts.
  func resetStates()

  /// Reads one token of each text and returns the logits of the next, [texts, V], valid until the next call.
  func advance(_ tokens: [Int32]) throws -> MatrixView
}
