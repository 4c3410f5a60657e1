import Arena
import Kernels
import NumericSupport
import Testing

@Suite struct PackedWeightTests {
  init() { computeOnThisThreadAlone() }

  static let sizes = [1, 7, 8, 33, 64, 65, 130, 200]

  /// The library's reorder is the twin: both must write the same bytes, padding included.
  @Test(arguments: sizes, sizes) func writesWhatTheReorderWrites(rows: Int, columns: Int) throws {
    for precision in Precision.allCases where precision.isAvailable {
      try compare(rows: rows, columns: columns, precision)
    }
  }

  private func compare(rows: Int, columns: Int, _ precision: Precision) throws {
    try withScratch { scratch in
      let source = try scratch.uniform(rows, columns)
      let forward = try PackedMatrix(inner: columns, outer: rows, precision: precision)
      let backward = try PackedMatrix(inner: rows, outer: columns, precision: precision)
      try forward.pack(source, transposed: true)
      try backward.pack(source, transposed: false)
      for workers in [1, 2, 3] {
        let weight = try PackedWeight(rows: rows, columns: columns, precision: precision, training: true)
        for rank in 0..<workers { try weight.pack(source, rank: rank, of: workers) }
        #expect(bits(weight.forward) == bits(forward))
        #expect(try bits(#require(weight.backward)) == bits(backward))
      }
    }
  }

  // As bit patterns: two bf16 values in the place of a float may look like NaN.
  private func bits(_ matrix: PackedMatrix) -> [UInt32] { matrix.packed.buffer.map(\.bitPattern) }
}
