import Kernels
import NumericSupport
import Parameters
import Testing

@Suite struct PackedWeightTests {
  static let sizes = [1, 7, 8, 33, 64, 65, 130, 200]

  /// Both forms, padding included, whatever the number of workers that pack them.
  @Test(arguments: sizes, sizes) func packsAsTheNaiveTwin(rows: Int, columns: Int) throws {
    try withEachArithmetic { scratch, arithmetic in
      // A slice of a wider matrix, as the GRU packs its gates.
      let source = try scratch.uniform(rows, columns, stride: columns + 3)
      for workers in [1, 2, 3] {
        let weight = try PackedWeight(rows: rows, columns: columns, arithmetic, needsBackward: true)
        for rank in 0..<workers { weight.pack(source, rank: rank, of: workers) }
        let backward = try #require(weight.backward)
        #expect(bits(weight.forward) == weight.forward.naivePacking(source, transposed: true))
        #expect(bits(backward) == backward.naivePacking(source, transposed: false))
      }
    }
  }

  @Test(arguments: sizes, sizes) func workersPackBF16AsOneDoes(rows: Int, columns: Int) throws {
    for kind in ProductKind.available where kind.precision == .bf16 {
      try withScratch { scratch in
        let source = try scratch.uniform(rows, columns, stride: columns + 3)
        func packed(by workers: Int) throws -> [UInt32] {
          let weight = try PackedWeight(
            rows: rows, columns: columns, kind.arithmetic, precision: .bf16, needsBackward: true)
          for rank in 0..<workers { weight.pack(source, rank: rank, of: workers) }
          return try bits(weight.forward) + bits(#require(weight.backward))
        }
        let alone = try packed(by: 1)
        #expect(alone.contains { $0 != 0 })
        for workers in [2, 3] { #expect(try packed(by: workers) == alone) }
      }
    }
  }

  // As bit patterns: two bf16 values in the place of a float may look like NaN.
  private func bits(_ matrix: PackedMatrix) -> [UInt32] { matrix.packed.buffer.map(\.bitPattern) }
}
