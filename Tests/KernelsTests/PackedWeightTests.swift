import Arena
import Kernels
import NumericSupport
import Testing

@Suite struct PackedWeightTests {
  init() { computeOnThisThreadAlone() }

  static let sizes = [1, 7, 8, 33, 64, 65, 130, 200]

  /// The library's reorder is the twin: both must write the same bytes, padding included.
  @Test(arguments: sizes, sizes) func writesWhatTheReorderWrites(rows: Int, columns: Int) throws {
    try withScratch { scratch in
      let source = try scratch.uniform(rows, columns)
      let forward = try PackedMatrix(inner: columns, outer: rows)
      let backward = try PackedMatrix(inner: rows, outer: columns)
      try forward.pack(source, transposed: true)
      try backward.pack(source, transposed: false)
      for workers in [1, 2, 3] {
        let weight = try PackedWeight(rows: rows, columns: columns, training: true)
        for rank in 0..<workers { try weight.pack(source, rank: rank, of: workers) }
        #expect(Array(weight.forward.packed.buffer) == Array(forward.packed.buffer))
        #expect(Array(weight.backward?.packed.buffer ?? forward.packed.buffer) == Array(backward.packed.buffer))
      }
    }
  }
}
