/// A row-major view of floats that a buffer owns: what layers and kernels pass to one another.
///
/// It holds a raw pointer. Whoever makes a view keeps the buffer alive while the view is used.
package struct MatrixView {
  package let pointer: UnsafeMutablePointer<Float>
  package let rows: Int
  package let columns: Int
  /// Floats from one row to the next; at least `columns`.
  package let stride: Int

  package init(_ pointer: UnsafeMutablePointer<Float>, rows: Int, columns: Int, stride: Int? = nil) {
    (self.pointer, self.rows, self.columns) = (pointer, rows, columns)
    self.stride = stride ?? columns
  }

  package subscript(row: Int, column: Int) -> Float {
    get { pointer[row * stride + column] }
    nonmutating set { pointer[row * stride + column] = newValue }
  }

  /// Whether there are no gaps between rows.
  package var isDense: Bool { stride == columns || rows <= 1 }

  /// Copies the values of a matrix of the same shape.
  package func update(from source: MatrixView) {
    precondition(source.rows == rows && source.columns == columns, "shapes don't fit")
    for row in 0..<rows {
      (pointer + row * stride).update(from: source.pointer + row * source.stride, count: columns)
    }
  }

  package func fill(_ value: Float) {
    for row in 0..<rows { (pointer + row * stride).update(repeating: value, count: columns) }
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

extension MatrixView {
  /// No rows: what stands where nothing has been computed yet.
  package static var empty: MatrixView { MatrixView(nowhere, rows: 0, columns: 0) }
}

// One float that is never read or written, because a view needs a pointer.
private nonisolated(unsafe) let nowhere = UnsafeMutablePointer<Float>.allocate(capacity: 1)
