import Kernels
import Parameters

/// Random matrices that live until a test's body ends: a `MatrixView` doesn't keep its memory alive.
package final class Scratch {
  private var buffers: [FloatBuffer] = []
  private var random: RandomStream

  fileprivate init(seed: UInt64) { random = RandomStream(seed: seed, stream: 0) }

  /// A matrix of zeros. Where `stride` exceeds `columns`, the gaps hold NaN, so that a kernel that reads them shows.
  package func zeros(_ rows: Int, _ columns: Int, stride: Int? = nil) throws -> MatrixView {
    let stride = stride ?? columns
    let buffer = try FloatBuffer(count: rows * stride)
    buffers.append(buffer)
    if stride > columns { buffer.fill(.nan) }
    let matrix = MatrixView(buffer.pointer, rows: rows, columns: columns, stride: stride)
    for row in 0..<rows { (matrix.pointer + row * stride).update(repeating: 0, count: columns) }
    return matrix
  }

  /// A matrix of values that are uniform in ±`range`.
  package func uniform(_ rows: Int, _ columns: Int, stride: Int? = nil, range: Double = 1) throws -> MatrixView {
    let matrix = try zeros(rows, columns, stride: stride)
    for row in 0..<rows {
      for column in 0..<columns { matrix[row, column] = Float((2 * random.nextUnit() - 1) * range) }
    }
    return matrix
  }

  /// A matrix with the values of another and no gaps.
  package func copy(_ source: MatrixView) throws -> MatrixView {
    let matrix = try zeros(source.rows, source.columns)
    for row in 0..<source.rows {
      (matrix.pointer + row * matrix.stride).update(from: source.pointer + row * source.stride, count: source.columns)
    }
    return matrix
  }

  /// Integers that are uniform in 0..<`limit`.
  package func integers(_ count: Int, below limit: Int) -> [Int32] {
    (0..<count).map { _ in Int32(random.nextUnit() * Double(limit)) }
  }
}

/// Runs `body` with memory that is freed after it.
package func withScratch<Result>(seed: UInt64 = 1, _ body: (Scratch) throws -> Result) rethrows -> Result {
  let scratch = Scratch(seed: seed)
  defer { withExtendedLifetime(scratch) {} }
  return try body(scratch)
}
