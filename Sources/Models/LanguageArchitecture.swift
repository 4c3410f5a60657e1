import Interfaces
import Kernels
import Layers
import Parameters
import Sharding

/// A stacked recurrent language model: embedding → layers → softmax. Parameters are named and shaped as in PyTorch's
/// word_language_model, so that weights can be exchanged one to one.
package struct LanguageArchitecture: RecurrentArchitecture {
  package typealias Input = Window

  /// The sizes of a language model.
  package struct Shape: Sendable, Equatable {
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
      (self.cell, self.vocabularySize, self.embeddingSize) = (cell, vocabularySize, embeddingSize)
      (self.hiddenSize, self.layers, self.tied) = (hiddenSize, layers, tied)
    }
  }

  package let shape: Shape
  package let layout: ParameterLayout
  package let dropout: Dropout?
  package let forgetBias: Double
  package let table: Parameter
  package let cells: [[CellParameters]]
  package let decoderWeight: Parameter
  package let decoderBias: Parameter

  package init(_ shape: Shape, dropout: Dropout? = nil, forgetBias: Double = 0) {
    (self.shape, self.dropout, self.forgetBias) = (shape, dropout, forgetBias)
    var layout = ParameterLayout()
    table = layout.declare(
      "encoder.weight", [shape.vocabularySize, shape.embeddingSize], shape.tied ? [.table, .product] : .table)
    cells = (0..<shape.layers).map { layer in
      [
        CellParameters(
          shape.cell, prefix: "rnn", layer: layer, inputSize: layer == 0 ? shape.embeddingSize : shape.hiddenSize,
          hiddenSize: shape.hiddenSize, &layout)
      ]
    }
    decoderWeight =
      shape.tied ? table : layout.declare(Self.decoderName, [shape.vocabularySize, shape.hiddenSize], .product)
    decoderBias = layout.declare("decoder.bias", [shape.vocabularySize], .bias)
    self.layout = layout
  }

  package var alias: ParameterAlias? {
    shape.tied ? ParameterAlias(name: Self.decoderName, of: table) : nil
  }

  private static let decoderName = "decoder.weight"

  /// Floating-point operations of one training step over `tokens` tokens in `streams` streams: two for each multiply-add
  /// of the products, three products per weight (forward, input gradient, weight gradient). Elementwise work is left out,
  /// and so is what leads from the first time step back to the initial states.
  ///
  /// - Parameters:
  ///   - forwardRows: rows of the first layer's product with its input: at most `tokens`.
  ///   - backwardRows: rows of each of the two that lead back.
  package func operationsPerStep(tokens: Int, streams: Int, forwardRows: Double, backwardRows: Double) -> Double {
    let (h, gates) = (shape.hiddenSize, shape.cell.gates * shape.hiddenSize)
    let inner = shape.vocabularySize * h + gates * h * (2 * shape.layers - 1)
    let first = Double(gates * shape.embeddingSize) * (forwardRows + 2 * backwardRows)
    // Where the candidate has a product of its own, the reset gate's gradient needs that one.
    let rowsToStates = shape.cell == .gru(.before) ? 2 * h : gates
    let truncated = Double(shape.layers * rowsToStates * h) * Double(streams)
    return 6 * Double(inner) * Double(tokens) + 2 * (first - truncated)
  }
}
