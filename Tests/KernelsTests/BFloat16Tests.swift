import Kernels
import NumericSupport
import Parameters
import Testing

/// Products whose operands are rounded to bf16, against the naive twins on operands that were rounded before.
@Suite(.enabled(if: Arithmetic.best.computes(in: .bf16), "this processor has no bf16 instructions"))
struct BFloat16Tests {
  /// The nearest bf16 value, ties to even: the upper half of the float.
  private func rounded(_ value: Float) -> Float {
    let bits = value.bitPattern
    return Float(bitPattern: (bits &+ 0x7fff &+ (bits >> 16 & 1)) & 0xffff_0000)
  }

  private func rounded(_ matrix: MatrixView, _ scratch: Scratch) throws -> MatrixView {
    let copy = try scratch.copy(matrix)
    for row in 0..<copy.rows { for column in 0..<copy.columns { copy[row, column] = rounded(matrix[row, column]) } }
    return copy
  }

  @Test(arguments: [1, 7, 8, 33, 100], [1, 2, 7, 8, 33, 100, 1601])
  func productsAreThoseOfRoundedOperands(rows: Int, inner: Int) throws {
    for outer in [1, 7, 33, 65] {
      try withScratch { scratch in
        let weights = try scratch.uniform(outer, inner)
        let weight = try PackedWeight(rows: outer, columns: inner, .best, precision: .bf16, needsBackward: false)
        weight.pack(weights)
        let product = Product(weight.forward)
        let x = try scratch.uniform(rows, inner)
        for accumulating in [false, true] {
          let start = try scratch.uniform(rows, outer)
          let expected = try scratch.copy(start)
          Product.naive(
            try rounded(x, scratch), try rounded(weights, scratch), transposed: true, into: expected,
            accumulating: accumulating)
          let y = try scratch.copy(start)
          try product.multiply(x, into: y, accumulating: accumulating)
          #expect(largestError(y.values, expected.values) < 1e-6 * Double(inner).squareRoot() + 1e-6)
        }
      }
    }
  }

  /// Odd shards end in half a pair, which must not mix with the next shard.
  @Test(arguments: [1, 8, 33, 65, 100], [1, 8, 33, 49, 100])
  func weightGradientsAreThoseOfRoundedOperands(outputs m: Int, inputs n: Int) throws {
    let counts = [5, 1, 0, 8, 3]
    try withScratch { scratch in
      let total = counts.reduce(0, +)
      let (a, b) = (try scratch.uniform(total, m), try scratch.uniform(total, n))
      let rows = (0..<total).map { Int32(($0 * 5) % total) }
      var ends: [Int32] = []
      for count in counts { ends.append((ends.last ?? 0) + Int32(count)) }
      let (found, expected) = (try scratch.zeros(m, n), try scratch.zeros(m, n))
      let (bias, expectedBias) = (try scratch.zeros(1, m), try scratch.zeros(1, m))
      try rows.withUnsafeBufferPointer { rows in
        try ends.withUnsafeBufferPointer { ends in
          try WeightGradient(rows: total, columns: n, .best, precision: .bf16).accumulate(
            outputs: a, inputs: b, rows: rows, ends: ends, into: found, bias: bias.pointer)
          WeightGradient.naive(
            outputs: try rounded(a, scratch), inputs: try rounded(b, scratch), rows: rows, ends: ends, into: expected)
          // The bias is summed from the values before rounding.
          WeightGradient.naive(
            outputs: a, inputs: b, rows: rows, ends: ends, into: try scratch.zeros(m, n), bias: expectedBias.pointer)
        }
      }
      #expect(largestError(found.values, expected.values) < 2e-6)
      #expect(largestError(bias.values, expectedBias.values) < 2e-6)
    }
  }

  @Test(arguments: [2, 4, 10]) func aShardInChunksOfPairsHasTheSameBits(chunk: Int) throws {
    try withScratch { scratch in
      let (total, m, n) = (23, 33, 50)
      let (a, b) = (try scratch.uniform(total, m), try scratch.uniform(total, n))
      let gradient = try WeightGradient(rows: total, columns: n, .best, precision: .bf16)
      func sum(_ chunk: Int) throws -> [UInt32] {
        let out = try scratch.zeros(m, n)
        for start in stride(from: 0, to: total, by: chunk) {
          let rows = (start..<min(start + chunk, total)).map { Int32($0) }
          let ends = [Int32(rows.count)]
          rows.withUnsafeBufferPointer { rows in
            ends.withUnsafeBufferPointer { ends in
              gradient.accumulate(
                outputs: a, inputs: b, rows: rows, ends: ends, into: out, accumulating: start > 0)
            }
          }
        }
        return out.bits
      }
      let (parts, whole) = (try sum(chunk), try sum(total))
      #expect(parts == whole)
    }
  }
}
