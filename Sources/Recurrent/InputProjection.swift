import Arena
import Kernels

/// Which positions of a window have the same token: what lets the first layer compute once what they share.
struct InputTokens {
  /// Of all rows; used in windows where it pays, as it changes no bit.
  let window: DistinctTokens
  /// Of each gradient shard; nil where the gradients are not summed by token.
  let shards: ShardTokens?
}

/// A layer's product with its input, x·W_ihᵀ over all time steps at once, its way back, and the gradients of W_ih and
/// b_ih.
///
/// The cell sees a row for each position. Towards the input there may be fewer: in the first layer positions of one
/// token have one product row and, in backward, one gradient (``InputTokens``).
final class InputProjection {
  private let products: LayerProducts
  private let names: LayerNames
  private let tokens: InputTokens?
  /// [entries, gates·H], sums of the gates' gradients by token.
  private let sums: FloatBuffer?

  /// - Parameter tokens: of the first layer of a language model; nil for a layer whose rows have nothing in common.
  init(_ index: Int, _ weights: ModelWeights, tokens: InputTokens?) throws {
    let weight = weights.layers[index].input
    products = try LayerProducts(weight)
    names = LayerNames(index)
    self.tokens = tokens
    sums = try tokens?.shards.map { try FloatBuffer(count: $0.capacity * weight.rows) }
  }

  /// gates = x·W_ihᵀ
  ///
  /// - Parameters:
  ///   - x: [T·B, In], or a row for each distinct token of the window.
  ///   - gates: [T·B, gates·H], written.
  func forward(_ x: MatrixView, into gates: MatrixView) throws {
    try products.forward.multiply(x, into: gates.rows(0..<x.rows))
    guard x.rows < gates.rows else { return }
    guard let tokens else { preconditionFailure("fewer input rows than positions") }
    tokens.window.spread(gates)
  }

  /// dInput = dGates·W_ih
  ///
  /// - Parameters:
  ///   - dGates: [T·B, gates·H]
  ///   - dInput: [T·B, In] or, where gradients are summed by token, [``ShardTokens/count``, In]; written.
  func backward(_ dGates: MatrixView, into dInput: MatrixView) throws {
    let product = products.requireBackward()
    guard let shards = tokens?.shards, let sums else { return try product.multiply(dGates, into: dInput) }
    let summed = sums.matrix(shards.count, dGates.columns)
    shards.sum(dGates, into: summed)
    try product.multiply(summed, into: dInput)
  }

  /// Writes the gradients of W_ih and b_ih over the rows of one subtree of the shard tree, after
  /// ``backward(_:into:)``.
  ///
  /// - Parameters:
  ///   - input: [T·B, In], or a row for each entry of ``ShardTokens``.
  ///   - rows: positions of the subtree.
  func writeGradients(
    _ dGates: MatrixView, input: MatrixView, rows: ShardRows, with product: WeightGradient,
    to gradients: ParameterStore
  ) {
    var (outputs, rows) = (dGates, rows)
    if let shards = tokens?.shards, let sums {
      outputs = sums.matrix(shards.count, dGates.columns)
      rows = shards.entries(of: rows)
    }
    product.accumulate(
      outputs: outputs, inputs: input, rows: rows.rows, ends: rows.ends, into: gradients.matrix(names.inputWeight),
      bias: gradients.floats(names.inputBias).baseAddress)
  }
}
