import Arena
import Kernels

/// One layer of a recurrent network over a window. A layer keeps its tape from forward to backward.
package protocol RecurrentLayer: AnyObject {
  /// h over the window.
  var hidden: StateTape { get }
  /// c over the window; LSTM only.
  var cell: StateTape? { get }

  /// Runs `steps` time steps from the states in slot 0.
  ///
  /// - Parameter input: [T·B, In], time-major; in a language model's first layer perhaps fewer (``InputProjection``).
  /// - Returns: [T·B, H], valid until the next forward.
  func forward(_ input: MatrixView, steps: Int) throws -> MatrixView

  /// Backpropagates through the window's steps; the states in slot 0 are constants (truncation).
  ///
  /// - Parameters:
  ///   - dOutput: [T·B, H].
  ///   - dInput: [T·B, In], written; in a language model's first layer perhaps fewer.
  ///   - toInitialStates: whether ``dInitialHidden`` and ``dInitialCell`` are wanted, which truncated backpropagation
  ///     drops.
  func backward(dOutput: MatrixView, dInput: MatrixView, steps: Int, toInitialStates: Bool) throws

  /// Writes the gradients of the layer's parameters, summed over the rows of one subtree of the shard tree.
  ///
  /// - Parameters:
  ///   - input: what forward was given; in a language model's first layer the rows that `dInput` has.
  ///   - gradients: laid out as the parameters are.
  func writeGradients(
    input: MatrixView, rows: ShardRows, with product: WeightGradient, to gradients: ParameterStore, steps: Int)

  /// Tells a benchmark what the layer is busy with.
  var timer: PhaseTimer? { get set }

  /// Sees each tensor of a pass, in a replay.
  var probe: NonFiniteProbe? { get set }

  /// dL/dh(−1), [B, H], after a backward to the initial states: for gradient checks.
  var dInitialHidden: MatrixView { get }
  /// dL/dc(−1), [B, H]; LSTM only.
  var dInitialCell: MatrixView? { get }
}

extension RecurrentLayer {
  package var cell: StateTape? { nil }
  package var dInitialCell: MatrixView? { nil }

  /// Carries the final states over to the next window.
  package func carry(steps: Int) {
    hidden.carry(steps: steps)
    cell?.carry(steps: steps)
  }
}

/// Makes the layer that `weights` describes.
///
/// - Parameter window: the most time steps. `streams`: B.
package func makeLayer(_ index: Int, of weights: ModelWeights, window: Int, streams: Int) throws -> any RecurrentLayer {
  try makeLayer(index, of: weights, window: window, streams: streams, tokens: nil)
}

/// - Parameters:
///   - tokens: what a language model's first layer knows of its input.
///   - team: workers that may make recurrent products together; then the layer's `forward` and `backward` are collective.
func makeLayer(
  _ index: Int, of weights: ModelWeights, window: Int, streams: Int, tokens: InputTokens?, team: ProductTeam? = nil
) throws -> any RecurrentLayer {
  switch weights.shape.cell {
  case .lstm: try LSTMLayer(index, weights, window: window, streams: streams, tokens: tokens, team: team)
  case .gru(.after): try GRULayer(index, weights, window: window, streams: streams, tokens: tokens, team: team)
  case .gru(.before):
    try ResetBeforeGRULayer(index, weights, window: window, streams: streams, tokens: tokens, team: team)
  case .elman(let activation):
    try ElmanLayer(
      index, weights, activation: activation, window: window, streams: streams, tokens: tokens, team: team)
  }
}

/// The products of one packed weight that a layer runs.
struct LayerProducts {
  let forward: Product
  let backward: Product?

  init(_ weight: PackedWeight, team: ProductTeam? = nil) throws {
    forward = try Product(weight.forward, team: team)
    backward = try weight.backward.map { try Product($0, team: team) }
  }

  /// The product that backward runs; the layer was made for training.
  func requireBackward() -> Product {
    guard let backward else { preconditionFailure("backward of a layer that was made for evaluation") }
    return backward
  }
}

/// Names of a layer's parameters.
struct LayerNames {
  /// As messages name it, from 0 as in the parameters' names.
  let layer: String
  let inputWeight: String
  let hiddenWeight: String
  let inputBias: String
  let hiddenBias: String

  init(_ layer: Int) {
    self.layer = "layer \(layer)"
    inputWeight = "rnn.weight_ih_l\(layer)"
    hiddenWeight = "rnn.weight_hh_l\(layer)"
    inputBias = "rnn.bias_ih_l\(layer)"
    hiddenBias = "rnn.bias_hh_l\(layer)"
  }
}
