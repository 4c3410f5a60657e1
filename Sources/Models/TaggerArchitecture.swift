import Interfaces
import Kernels
import Layers
import Parameters
import Sharding

/// A tagger: embedding → recurrent layers, in both directions if wanted → a softmax over the labels of each token.
///
/// Parameters are named and shaped as in a PyTorch module with an `Embedding` called encoder, an `LSTM`, `GRU` or `RNN`
/// called rnn, and a `Linear` called decoder.
package struct TaggerArchitecture: RecurrentArchitecture {
  package typealias Input = Sentences

  /// The sizes of a tagger.
  package struct Shape: Sendable, Equatable {
    package var cell: Cell
    /// V
    package var vocabularySize: Int
    /// Classes.
    package var labels: Int
    /// E
    package var embeddingSize: Int
    /// H, of each direction.
    package var hiddenSize: Int
    package var layers: Int
    package var isBidirectional: Bool

    package init(
      cell: Cell, vocabularySize: Int, labels: Int, embeddingSize: Int, hiddenSize: Int, layers: Int,
      isBidirectional: Bool
    ) {
      (self.cell, self.vocabularySize, self.labels) = (cell, vocabularySize, labels)
      (self.embeddingSize, self.hiddenSize, self.layers) = (embeddingSize, hiddenSize, layers)
      self.isBidirectional = isBidirectional
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
    let directions = shape.isBidirectional ? [false, true] : [false]
    let output = directions.count * shape.hiddenSize
    table = layout.declare("encoder.weight", [shape.vocabularySize, shape.embeddingSize], .table)
    cells = (0..<shape.layers).map { layer in
      directions.map { reverse in
        CellParameters(
          shape.cell, prefix: "rnn", layer: layer, reverse: reverse,
          inputSize: layer == 0 ? shape.embeddingSize : output, hiddenSize: shape.hiddenSize, &layout)
      }
    }
    decoderWeight = layout.declare("decoder.weight", [shape.labels, output], .product)
    decoderBias = layout.declare("decoder.bias", [shape.labels], .bias)
    self.layout = layout
  }
}
