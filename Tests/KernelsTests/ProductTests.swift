import Kernels
import NumericSupport
import Parameters
import Testing

@Suite struct ProductTests {
  struct Sizes: CustomTestStringConvertible, Sendable {
    let rows: Int
    let inner: Int
    let outer: Int
    var testDescription: String { "[\(rows), \(inner)] x [\(inner), \(outer)]" }
  }

  static let sizes =
    [1, 7, 8, 33].flatMap { rows in
      [1, 7, 8, 33].flatMap { inner in [1, 7, 8, 33].map { Sizes(rows: rows, inner: inner, outer: $0) } }
    } + [Sizes(rows: 20, inner: 650, outer: 2600), Sizes(rows: 3, inner: 2600, outer: 650)]
    // More rows than a block, a longer inner dimension than a slice, and every width of a last panel.
    + [Sizes(rows: 97, inner: 769, outer: 80), Sizes(rows: 200, inner: 1700, outer: 65)]
    + [15, 16, 17, 31, 32, 47, 48, 49, 63, 64, 129].map { Sizes(rows: 13, inner: 40, outer: $0) }

  @Test(arguments: sizes, [true, false])
  func agreesWithTheNaiveTwin(_ sizes: Sizes, transposed: Bool) throws {
    try withEachArithmetic { scratch, arithmetic in
      let (inner, outer) = (sizes.inner, sizes.outer)
      let weights = try transposed ? scratch.uniform(outer, inner) : scratch.uniform(inner, outer)
      let product = try Product(packed(weights, transposed: transposed, arithmetic))
      let x = try scratch.uniform(sizes.rows, inner)
      let y = try scratch.uniform(sizes.rows, outer)
      for accumulating in [false, true] {
        let expected = try scratch.copy(y)
        Product.naive(x, weights, transposed: transposed, into: expected, accumulating: accumulating)
        try product.multiply(x, into: y, accumulating: accumulating)
        // Terms up to 1: sums grow as the root of their number, and so do their roundings.
        let tolerance = 1e-6 + 2e-7 * Float(inner)
        #expect(
          zip(y.values, expected.values).allSatisfy { abs($0 - $1) < tolerance }, "\(arithmetic.instructionSet)")
      }
    }
  }

  /// `weights`, [outer × inner] as PyTorch stores them or [inner × outer], as the forward or backward form of a weight.
  private func packed(_ weights: MatrixView, transposed: Bool, _ arithmetic: Arithmetic) throws -> PackedMatrix {
    let weight = try PackedWeight(rows: weights.rows, columns: weights.columns, arithmetic, needsBackward: true)
    weight.pack(weights)
    return try transposed ? weight.forward : #require(weight.backward)
  }

  @Test func bothFormsOfAWeightGiveTheSameBits() throws {
    try withEachArithmetic { scratch, arithmetic in
      let rows = try scratch.uniform(40, 33, stride: 37)
      let columns = try scratch.zeros(33, 40)
      for i in 0..<40 { for j in 0..<33 { columns[j, i] = rows[i, j] } }
      let x = try scratch.uniform(5, 33)
      let results = try [(rows, true), (columns, false)].map { source, transposed in
        let y = try scratch.zeros(5, 40)
        try Product(packed(source, transposed: transposed, arithmetic)).multiply(x, into: y)
        return y.bits
      }
      #expect(results[0] == results[1])
    }
  }

  @Test func packingAgainReplacesTheWeights() throws {
    try withEachArithmetic { scratch, arithmetic in
      let weight = try PackedWeight(rows: 8, columns: 8, arithmetic, needsBackward: true)
      let products = [Product(weight.forward), try Product(#require(weight.backward))]
      let x = try scratch.uniform(4, 8)
      let (y, expected) = (try scratch.zeros(4, 8), try scratch.zeros(4, 8))
      for stride in [8, 8, 11] {
        let weights = try scratch.uniform(8, 8, stride: stride)
        weight.pack(weights)
        for (product, transposed) in zip(products, [true, false]) {
          try product.multiply(x, into: y)
          Product.naive(x, weights, transposed: transposed, into: expected)
          #expect(largestError(y.values, expected.values) < 2e-6)
        }
      }
    }
  }

  /// Panels are taken from either end by turns.
  @Test(arguments: [(20, 100, 300), (100, 800, 100), (200, 1600, 130)])
  func everyCallGivesTheSameBits(rows: Int, inner: Int, outer: Int) throws {
    try withEachArithmetic { scratch, arithmetic in
      let product = try Product(packed(scratch.uniform(inner, outer), transposed: false, arithmetic))
      let x = try scratch.uniform(rows, inner)
      let results = try (0..<3).map { _ in
        let y = try scratch.zeros(rows, outer)
        try product.multiply(x, into: y)
        return y.bits
      }
      #expect(results[0] == results[1] && results[1] == results[2])
    }
  }

  @Test func noRowsAreNoWork() throws {
    try withEachArithmetic { scratch, arithmetic in
      try Product(packed(scratch.uniform(3, 4), transposed: false, arithmetic)).multiply(
        scratch.zeros(0, 3), into: scratch.zeros(0, 4))
    }
  }

  @Test func notANumberSpreadsOverItsRowAlone() throws {
    try withEachArithmetic { scratch, arithmetic in
      let product = try Product(packed(scratch.uniform(33, 7), transposed: false, arithmetic))
      let x = try scratch.uniform(8, 33)
      x[5, 32] = .nan
      let y = try scratch.zeros(8, 7)
      try product.multiply(x, into: y)
      for row in 0..<8 { #expect(y.rows(row..<(row + 1)).values.allSatisfy { $0.isNaN == (row == 5) }) }
    }
  }
}
