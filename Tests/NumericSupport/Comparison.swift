import Parameters

extension MatrixView {
  /// Row by row, without the gaps between rows.
  package var values: [Float] {
    (0..<rows).flatMap { row in Array(UnsafeBufferPointer(start: pointer + row * stride, count: columns)) }
  }

  /// The bit patterns of ``values``: equal only if not a single bit differs.
  package var bits: [UInt32] { values.map(\.bitPattern) }

  /// Whether the gaps between rows still hold the NaN that they were made with.
  package var gapsAreUntouched: Bool {
    (0..<rows).allSatisfy { row in
      (columns..<stride).allSatisfy { (pointer + row * stride)[$0].isNaN }
    }
  }
}

/// The largest distance between two tensors, as a share of the largest value of `expected`. NaN where a value is NaN.
package func largestError(_ found: some Sequence<Float>, _ expected: some Sequence<Double>) -> Double {
  var (error, scale) = (0.0, 0.0)
  for (a, b) in zip(found, expected) {
    let distance = abs(Double(a) - b)
    if distance.isNaN { return .nan }
    error = max(error, distance)
    scale = max(scale, abs(b))
  }
  return scale > 0 ? error / scale : error
}

package func largestError(_ found: some Sequence<Float>, _ expected: some Sequence<Float>) -> Double {
  largestError(found, expected.lazy.map { Double($0) })
}
