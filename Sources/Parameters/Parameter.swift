/// One tensor of a model: the handle that the layer that declared it keeps.
package struct Parameter: Sendable, Hashable {
  /// How passes use a parameter.
  package struct Uses: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Operand of matrix products, kept in packed form too.
    package static let product = Uses(rawValue: 1)
    /// Rows are looked up by token.
    package static let table = Uses(rawValue: 2)
    /// Added to sums.
    package static let bias = Uses(rawValue: 4)
  }

  /// Its place in ``ParameterLayout/parameters``.
  package let index: Int
  /// The name in files: that of the same tensor in PyTorch, such as `rnn.weight_ih_l0`.
  package let name: String
  /// The shape in files; row-major, one or two dimensions.
  package let shape: [Int]
  /// Where it starts in the arena, in floats; a multiple of 16, so that rows start on cache lines.
  package let offset: Int
  package let uses: Uses
  /// Rows of each part that is a product operand by itself, from the first row on: a GRU that resets before the product
  /// multiplies by the gates' rows and then by the candidate's. Empty unless it is one.
  package let packedRows: [Int]
  /// The order of the gates' blocks of rows, such as `i f g o`, which files state; nil where there are none.
  package let gateOrder: String?

  package var count: Int { shape.reduce(1, *) }
  package var range: Range<Int> { offset..<(offset + count) }
  /// Rows as a matrix; a vector is one row.
  package var rows: Int { shape.count == 2 ? shape[0] : 1 }
  package var columns: Int { shape[shape.count - 1] }
}
