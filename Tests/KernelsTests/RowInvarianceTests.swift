import Kernels
import NumericSupport
import Parameters
import Testing

/// A row of a product has the same bits whatever the number of rows: what makes forward and input-gradient products
/// independent of how streams are dealt to workers.
@Suite struct RowInvarianceTests {
  struct Sizes: CustomTestStringConvertible, Sendable {
    let inner: Int
    let outer: Int
    var testDescription: String { "[·, \(inner)] x [\(inner), \(outer)]" }
  }

  static let sizes = [
    (650, 2600), (2600, 650), (128, 65), (65, 128), (200, 800), (800, 200), (33, 7), (7, 33), (1, 5), (5, 1), (1, 1),
    (24, 24), (24, 65), (65, 24), (128, 512), (512, 128), (64, 64), (16, 16), (2, 2), (200, 1), (1, 200), (31, 1000),
    (1000, 31), (256, 256), (1700, 100),
  ].map { Sizes(inner: $0, outer: $1) }

  static let rowCounts = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 16, 20, 25, 40, 63, 64, 65, 87, 350]

  @Test(arguments: sizes, ProductKind.available)
  func rowsDoNotDependOnTheirNumber(_ sizes: Sizes, _ kind: ProductKind) throws {
    try withScratch { scratch in
      let all = 400
      let source = try scratch.uniform(sizes.outer, sizes.inner)
      let weight = try PackedWeight(
        rows: sizes.outer, columns: sizes.inner, kind.arithmetic, precision: kind.precision, needsBackward: false)
      weight.pack(source)
      let product = Product(weight.forward)
      let x = try scratch.uniform(all, sizes.inner)
      let start = try scratch.uniform(all, sizes.outer)
      for accumulating in [false, true] {
        let whole = try scratch.copy(start)
        try product.multiply(x, into: whole, accumulating: accumulating)
        var different: [Int] = []
        for count in Self.rowCounts {
          // Row after row, in place: a rounding that differs is rare, so many rows must be looked at.
          let parts = try scratch.copy(start)
          let covered = min(all / count, 40) * count
          for first in stride(from: 0, to: covered, by: count) {
            let rows = first..<(first + count)
            try product.multiply(x.rows(rows), into: parts.rows(rows), accumulating: accumulating)
          }
          if parts.rows(0..<covered).bits != whole.rows(0..<covered).bits { different.append(count) }
        }
        #expect(different.isEmpty, "row counts, accumulating \(accumulating)")
      }
    }
  }
}
