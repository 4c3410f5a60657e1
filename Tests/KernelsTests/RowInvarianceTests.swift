import Arena
import Kernels
import NumericSupport
import Testing

/// A row of a product has the same bits whatever the number of rows: what makes forward and input-gradient products
/// independent of how streams are dealt to workers.
@Suite struct RowInvarianceTests {
  init() { computeOnThisThreadAlone() }

  struct Sizes: CustomTestStringConvertible, Sendable {
    let inner: Int
    let outer: Int
    var testDescription: String { "[·, \(inner)] x [\(inner), \(outer)]" }
  }

  static let sizes = [
    (650, 2600), (2600, 650), (128, 65), (65, 128), (200, 800), (800, 200), (33, 7), (7, 33), (1, 5), (5, 1), (1, 1),
    (24, 24), (24, 65), (65, 24), (128, 512), (512, 128), (64, 64), (16, 16), (2, 2), (200, 1), (1, 200), (31, 1000),
    (1000, 31), (256, 256),
  ].map { Sizes(inner: $0, outer: $1) }

  static let rowCounts = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 16, 20, 25, 40, 63, 64, 65, 87, 350]

  @Test(arguments: sizes) func rowsDoNotDependOnTheirNumber(_ sizes: Sizes) throws {
    try withScratch { scratch in
      let all = 400
      let packed = try PackedMatrix(inner: sizes.inner, outer: sizes.outer)
      let product = try Product(packed)
      let x = try scratch.uniform(all, sizes.inner)
      let start = try scratch.uniform(all, sizes.outer)
      for transposed in [false, true] {
        let weights =
          try transposed ? scratch.uniform(sizes.outer, sizes.inner) : scratch.uniform(sizes.inner, sizes.outer)
        try packed.pack(weights, transposed: transposed)
        for accumulating in [false, true] {
          let whole = try scratch.copy(start)
          try product.multiply(x, into: whole, accumulating: accumulating)
          var different: [Int] = []
          for count in Self.rowCounts {
            // The first rows and the last ones: also other places in memory, hence other alignments.
            for rows in [0..<count, (all - count)..<all] {
              let part = try scratch.copy(start.rows(rows))
              try product.multiply(x.rows(rows), into: part, accumulating: accumulating)
              if part.bits != whole.rows(rows).bits { different.append(count) }
            }
          }
          #expect(different.isEmpty, "row counts, transposed \(transposed), accumulating \(accumulating)")
        }
      }
    }
  }

  /// The strides of a GRU that resets before the product: columns of wider matrices.
  @Test(arguments: [1, 8, 24, 33, 128, 650]) func stridedRowsDoNotDependOnTheirNumber(hidden: Int) throws {
    try withScratch { scratch in
      let packed = try PackedMatrix(inner: 2 * hidden, outer: hidden)
      try packed.pack(scratch.uniform(2 * hidden, hidden), transposed: false)
      let product = try Product(packed)
      let x = try scratch.uniform(100, 3 * hidden).columns(0..<(2 * hidden))
      let whole = try scratch.zeros(100, hidden, stride: 3 * hidden)
      try product.multiply(x, into: whole)
      var different: [Int] = []
      for count in Self.rowCounts where count < 100 {
        let part = try scratch.zeros(count, hidden, stride: 3 * hidden)
        try product.multiply(x.rows(0..<count), into: part)
        if part.bits != whole.rows(0..<count).bits { different.append(count) }
      }
      #expect(different.isEmpty, "row counts")
    }
  }
}
