import Interfaces
import Kernels
import Layers
import Models
import Parameters
import Testing

/// Packing as the optimiser goes along, against packing everything afterwards: the same bytes.
@Suite struct PackingTests {
  /// Sizes with panels that are not full, an arena whose segments end inside panels, and a matrix of two packed parts.
  static let shapes = [
    LanguageArchitecture.Shape(cell: .lstm, vocabularySize: 150, embeddingSize: 23, hiddenSize: 37, layers: 2),
    LanguageArchitecture.Shape(
      cell: .gru(.before), vocabularySize: 70, embeddingSize: 40, hiddenSize: 40, layers: 2, tied: true),
    LanguageArchitecture.Shape(cell: .elman(.tanh), vocabularySize: 3, embeddingSize: 5, hiddenSize: 64, layers: 1),
  ]
  static let workers = [1, 2, 3, 4]
  static let precisions = Precision.allCases.filter(Arithmetic.best.computes(in:))

  @Test(arguments: shapes, workers) func ofSharedWeights(_ shape: LanguageArchitecture.Shape, workers: Int) throws {
    for precision in Self.precisions {
      for stretch in [1, 1000, 1 << 20] {
        let weights = try randomWeights(LanguageArchitecture(shape), precision: precision)
        let expected = packedBits(of: try stepped(weights, shape))
        let segments = segments(of: weights, workers: workers)
        for segment in segments { go(along: segment, of: weights, stretch: stretch) }
        for rank in 0..<workers { weights.packRest(between: segments, rank: rank) }
        #expect(packedBits(of: weights) == expected)
      }
    }
  }

  @Test(arguments: shapes, workers) func ofACopyOfOnesOwn(_ shape: LanguageArchitecture.Shape, workers: Int) throws {
    for precision in Self.precisions {
      for rank in 0..<workers {
        let weights = try randomWeights(LanguageArchitecture(shape), precision: precision)
        let expected = packedBits(of: try stepped(weights, shape))
        let segment = segments(of: weights, workers: workers)[rank]
        go(along: segment, of: weights, stretch: 777)
        weights.packRest(outside: segment)
        #expect(packedBits(of: weights) == expected)
      }
    }
  }

  /// A copy with other values, packed at once; `weights` get the same values, and keep the old packed forms.
  private func stepped(
    _ weights: PackedParameters, _ shape: LanguageArchitecture.Shape
  ) throws -> PackedParameters {
    let copy = try randomWeights(LanguageArchitecture(shape), seed: 2, precision: weights.precision)
    _ = weights.store.values.buffer.update(from: copy.store.values.buffer)
    return copy
  }

  private func segments(of weights: PackedParameters, workers: Int) -> [Range<Int>] {
    let count = weights.store.values.count
    return (0..<workers).map { (count * $0 / workers)..<(count * ($0 + 1) / workers) }
  }

  /// Tells the weights what an optimiser that updates `stretch` values at a time tells them.
  private func go(along segment: Range<Int>, of weights: PackedParameters, stretch: Int) {
    for start in stride(from: segment.lowerBound, to: segment.upperBound, by: stretch) {
      weights.packBlocks(of: segment, completedBy: min(start + stretch, segment.upperBound), since: start)
    }
  }

  // As bit patterns: two bf16 values in the place of a float may look like NaN.
  private func packedBits(of weights: PackedParameters) -> [[UInt32]] {
    weights.packedForms.map { $0.buffer.map(\.bitPattern) }
  }
}
