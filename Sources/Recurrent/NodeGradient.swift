import Arena
import Kernels

/// The gradient summed over one subtree of the shard tree.
package final class NodeGradient {
  package let rows: ShardRows
  /// Laid out as the parameters are.
  package let store: ParameterStore
  /// Tied weights only: the embedding's part of the shared matrix's gradient, [V, E]. It is reduced by itself and added
  /// to the decoder's part at the end, because the sum of two trees is not, bit for bit, the tree of the sums.
  package let tiedEmbedding: FloatBuffer?
  let decoder: DecoderGradient
  private let shape: ModelShape

  init(rows: ShardRows, shape: ModelShape, memory: FloatMemory) throws {
    self.rows = rows
    self.shape = shape
    store = try ParameterStore(shape.layout, memory: memory)
    tiedEmbedding = shape.tied ? try memory(shape.vocabularySize * shape.embeddingSize) : nil
    decoder = DecoderGradient(
      weight: store.matrix(shape.decoderWeightName), bias: store.floats("decoder.bias").baseAddress!)
  }

  /// Where the embedding's gradient goes, [V, E].
  var embedding: MatrixView {
    tiedEmbedding?.matrix(shape.vocabularySize, shape.embeddingSize) ?? store.matrix("encoder.weight")
  }
}
