import Arena

/// What decides the shapes of a language model's parameters.
package struct ModelShape: Sendable, Equatable {
  package var cell: Cell
  /// V
  package var vocabularySize: Int
  /// E
  package var embeddingSize: Int
  /// H
  package var hiddenSize: Int
  /// L
  package var layers: Int
  /// Whether the decoder uses the embedding's matrix (Press & Wolf 2017); needs E = H.
  package var tied: Bool

  package init(
    cell: Cell, vocabularySize: Int, embeddingSize: Int, hiddenSize: Int, layers: Int, tied: Bool = false
  ) {
    precondition(!tied || embeddingSize == hiddenSize, "tied weights need one size for embedding and hidden state")
    self.cell = cell
    self.vocabularySize = vocabularySize
    self.embeddingSize = embeddingSize
    self.hiddenSize = hiddenSize
    self.layers = layers
    self.tied = tied
  }

  /// Values that enter layer `layer`: E for the first, H for the others.
  package func inputSize(ofLayer layer: Int) -> Int { layer == 0 ? embeddingSize : hiddenSize }

  /// Names and shapes as in PyTorch's word_language_model, so that weights can be exchanged one to one.
  package var layout: ParameterLayout {
    var layout = ParameterLayout()
    let rows = cell.gates * hiddenSize
    layout.append("encoder.weight", [vocabularySize, embeddingSize])
    for layer in 0..<layers {
      layout.append("rnn.weight_ih_l\(layer)", [rows, inputSize(ofLayer: layer)])
      layout.append("rnn.weight_hh_l\(layer)", [rows, hiddenSize])
      layout.append("rnn.bias_ih_l\(layer)", [rows])
      layout.append("rnn.bias_hh_l\(layer)", [rows])
    }
    if !tied { layout.append("decoder.weight", [vocabularySize, hiddenSize]) }
    layout.append("decoder.bias", [vocabularySize])
    return layout
  }

  /// The parameter that holds the decoder's matrix.
  package var decoderWeightName: String { tied ? "encoder.weight" : "decoder.weight" }

  /// Floating-point operations of one training step over `tokens` tokens in `streams` streams: two for each multiply-add
  /// of the products, three products a weight (forward, input gradient, weight gradient); elementwise work is left out,
  /// and so is what leads from the first time step back to the initial states.
  ///
  /// - Parameter inputRows: rows that the first layer's products with its input have, forward and in each of the two
  ///   that lead back: at most `tokens`.
  package func operationsPerStep(tokens: Int, streams: Int, inputRows: (forward: Double, backward: Double)) -> Double {
    let rows = cell.gates * hiddenSize
    var weights = vocabularySize * hiddenSize
    for layer in 0..<layers { weights += rows * ((layer == 0 ? 0 : hiddenSize) + hiddenSize) }
    let first = Double(rows * embeddingSize) * (inputRows.forward + 2 * inputRows.backward)
    // Where the candidate has a product of its own, the reset gate's gradient needs that one.
    let rowsToStates = cell == .gru(.before) ? 2 * hiddenSize : rows
    let truncated = Double(layers * rowsToStates * hiddenSize) * Double(streams)
    return 6 * Double(weights) * Double(tokens) + 2 * (first - truncated)
  }
}
