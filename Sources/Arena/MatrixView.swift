/// A row-major window onto floats that somebody else owns: the common currency of layers and kernels.
///
/// Holds a raw pointer: whoever makes a view keeps the buffer alive while it is used.
package struct MatrixView {
  package let pointer: UnsafeMutablePointer<Float>
  package let rows: Int
  package let columns: Int
  /// Floats from one row to the next; at least `columns`.
  package let stride: Int

  package init(_ pointer: UnsafeMutablePointer<Float>, rows: Int, columns: Int, stride: Int? = nil) {
    self.pointer = pointer
    self.rows = rows
    self.columns = columns
    self.stride = stride ?? columns
  }

  package subscript(row: Int, column: Int) -> Float {
    get { pointer[row * stride + column] }
    nonmutating set { pointer[row * stride + column] = newValue }
  }

  /// Whether rows follow one another without gaps.
  package var isDense: Bool { stride == columns || rows <= 1 }

  /// Copies the values of a matrix of the same shape.
  package func update(from source: MatrixView) {
    precondition(source.rows == rows && source.columns == columns, "shapes don't fit")
    for row in 0..<rows {
      (pointer + row * stride).update(from: source.pointer + row * source.stride, count: columns)
    }
  }

  /// The rows in `range`, in place.
  package func rows(_ range: Range<Int>) -> MatrixView {
    MatrixView(pointer + range.lowerBound * stride, rows: range.count, columns: columns, stride: stride)
  }

  /// The columns in `range`, in place.
  package func columns(_ range: Range<Int>) -> MatrixView {
    MatrixView(pointer + range.lowerBound, rows: rows, columns: range.count, stride: stride)
  }
}
