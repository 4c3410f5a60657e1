import Arena
import Kernels

/// The packed weights of one recurrent layer.
package struct LayerWeights: Sendable {
  /// weight_ih
  package let input: PackedWeight
  /// weight_hh, or, for a GRU that resets before the product, its rows of r and z.
  package let hidden: PackedWeight
  /// The rows of n in that form of the GRU.
  package let candidate: PackedWeight?
  /// [gates·H]: bias_ih + bias_hh, for the cells that add both in one place.
  package let bias: FloatBuffer
}

/// A model's parameters and their packed forms.
///
/// Workers may share the memory: weights are written between barriers (each worker its own part), then packed (each
/// worker its own panels), then read by all.
package final class ModelWeights: Sendable {
  package let shape: ModelShape
  package let parameters: ParameterStore
  package let layers: [LayerWeights]
  package let decoder: PackedWeight
  /// What everything computes with that concerns these weights.
  package let arithmetic: Arithmetic
  /// What the operands of matrix products are rounded to.
  package let precision: Precision
  /// What is packed, in the order of the arena.
  let packedMatrices: [PackedPart]

  /// - Parameters:
  ///   - training: whether gradients will be wanted; without, half of the packed copies are left out.
  ///   - memory: where everything goes; asked for the same sizes in the same order for the same other arguments.
  ///   - isReadFromTheEnd: as for ``PackedMatrix``.
  package init(
    _ shape: ModelShape, _ arithmetic: Arithmetic, precision: Precision = .f32, training: Bool,
    memory: FloatMemory = FloatBuffer.init(count:), isReadFromTheEnd: Bool = false
  ) throws {
    // Each worker makes its weights on the thread that computes: from the first sum on, none sees a denormal.
    Arithmetic.flushDenormals()
    self.shape = shape
    self.arithmetic = arithmetic
    self.precision = precision
    func packed(_ rows: Int, _ columns: Int) throws -> PackedWeight {
      try PackedWeight(
        rows: rows, columns: columns, arithmetic, precision: precision, training: training, memory: memory,
        isReadFromTheEnd: isReadFromTheEnd)
    }
    parameters = try ParameterStore(shape.layout, memory: memory)
    let h = shape.hiddenSize
    let rows = shape.cell.gates * h
    layers = try (0..<shape.layers).map { layer in
      let split = shape.cell == .gru(.before)
      return LayerWeights(
        input: try packed(rows, shape.inputSize(ofLayer: layer)),
        hidden: try packed(split ? 2 * h : rows, h),
        candidate: split ? try packed(h, h) : nil,
        bias: try memory(rows))
    }
    decoder = try packed(shape.vocabularySize, h)

    var parts: [PackedPart] = []
    for (index, layer) in layers.enumerated() {
      parts.append(PackedPart(layer.input, parameters, "rnn.weight_ih_l\(index)"))
      parts.append(PackedPart(layer.hidden, parameters, "rnn.weight_hh_l\(index)"))
      if let candidate = layer.candidate {
        parts.append(PackedPart(candidate, parameters, "rnn.weight_hh_l\(index)", firstRow: layer.hidden.rows))
      }
    }
    parts.append(PackedPart(decoder, parameters, shape.decoderWeightName))
    packedMatrices = parts.sorted { $0.range.lowerBound < $1.range.lowerBound }
  }

  /// Brings the packed forms up to date with the parameters: the share of worker `rank` of `count`. A barrier must
  /// stand before the first use, and one between the last use and this.
  package func pack(rank: Int = 0, of count: Int = 1) {
    for matrix in packedMatrices { matrix.weight.pack(matrix.source, rank: rank, of: count) }
    addBiases(rank: rank, of: count)
  }

  /// The biases of a GRU layer, which the cell adds in two places.
  package func gruBiases(ofLayer layer: Int) -> GRUBiases {
    GRUBiases(
      input: parameters.floats("rnn.bias_ih_l\(layer)").baseAddress!,
      hidden: parameters.floats("rnn.bias_hh_l\(layer)").baseAddress!)
  }
}
