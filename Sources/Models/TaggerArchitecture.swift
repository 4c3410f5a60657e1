import Interfaces
import Kernels
import Layers
import Parameters
import Sharding

/// A tagger: embedding → recurrent layers, in both directions if wanted → a softmax over the labels of each token, or a
/// conditional random field over those of a sentence.
///
/// Parameters are named and shaped as in a PyTorch module with an `Embedding` called encoder, an `LSTM`, `GRU` or `RNN`
/// called rnn, a `Linear` called decoder, and a `CRF` of pytorch-crf called crf.
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
    /// Whether the labels of a sentence form a conditional random field.
    package var hasChain: Bool

    package init(
      cell: Cell, vocabularySize: Int, labels: Int, embeddingSize: Int, hiddenSize: Int, layers: Int,
      isBidirectional: Bool, hasChain: Bool = false
    ) {
      (self.cell, self.vocabularySize, self.labels) = (cell, vocabularySize, labels)
      (self.embeddingSize, self.hiddenSize, self.layers) = (embeddingSize, hiddenSize, layers)
      (self.isBidirectional, self.hasChain) = (isBidirectional, hasChain)
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
  package let chain: ChainParameters?
  private let entities: EntityLabels?

  /// - Parameter labels: by id; where they mark entities, the answers of a conditional random field do so properly.
  package init(_ shape: Shape, labels: [String] = [], dropout: Dropout? = nil, forgetBias: Double = 0) {
    entities = shape.hasChain ? EntityLabels(labels) : nil
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
    chain = shape.hasChain ? ChainParameters(labels: shape.labels, &layout) : nil
    self.layout = layout
  }

  package var isAllowed: ((Int?, Int) -> Bool)? { entities.map { entities in { entities.isAllowed($1, after: $0) } } }
}
