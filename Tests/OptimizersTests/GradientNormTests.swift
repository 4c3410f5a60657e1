import Arena
import Kernels
import Optimizers
import Testing

@Suite struct GradientNormTests {
  private func blockSums(_ gradients: UnsafeBufferPointer<Float>, _ arithmetic: Arithmetic = .best) -> [Double] {
    let blocks = GradientNorm.blocks(of: gradients.count)
    var sums = [Double](repeating: .nan, count: blocks)
    if let start = gradients.baseAddress {
      // In two parts: the sums are taken as the blocks come in.
      for part in [0..<(blocks / 2), (blocks / 2)..<blocks] {
        GradientNorm.blockSums(start, count: gradients.count, blocks: part, into: &sums, arithmetic)
      }
    }
    return sums
  }

  private func norm(_ sums: [Double], scale: Double) -> Double {
    sums.reduce(0, +).squareRoot() * scale
  }

  @Test(arguments: [1, 7, 33, GradientNorm.block, GradientNorm.block + 1, 3 * GradientNorm.block + 100])
  func agreesWithOneLongSum(count: Int) throws {
    var random = RandomStream(seed: 4, stream: 0)
    let gradients = (0..<count).map { _ in Float(random.nextUnit() - 0.5) }
    let expected = gradients.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot() * 0.25
    let found = gradients.withUnsafeBufferPointer { norm(blockSums($0), scale: 0.25) }
    #expect(abs(found - expected) <= 1e-13 * expected)
  }

  @Test func segmentsOnBlocksGiveTheSameBits() {
    let block = GradientNorm.block
    var random = RandomStream(seed: 4, stream: 0)
    let gradients = (0..<(4 * block + 500)).map { _ in Float(random.nextUnit() - 0.5) }
    gradients.withUnsafeBufferPointer { all in
      for arithmetic in Arithmetic.available {
        let whole = blockSums(all, arithmetic)
        for cuts in [[0, block, all.count], [0, 3 * block, 4 * block, all.count]] {
          let parts = zip(cuts, cuts.dropFirst()).flatMap {
            blockSums(UnsafeBufferPointer(rebasing: all[$0..<$1]), arithmetic)
          }
          #expect(parts == whole, "\(arithmetic.instructionSet)")
        }
      }
    }
  }

  @Test func clipsToTheLimitAndNotBelow() {
    #expect(GradientNorm.clippingFactor(norm: 0.5, limit: 1) == 1)
    #expect(GradientNorm.clippingFactor(norm: 1e9, limit: 0) == 1)
    #expect(GradientNorm.clippingFactor(norm: 0, limit: 1) == 1)
    #expect(GradientNorm.clippingFactor(norm: 10, limit: 5) == 5 / (10 + 1e-6))
    #expect(GradientNorm.clippingFactor(norm: .infinity, limit: 5) == 0)
  }

  @Test func aBrokenGradientBreaksTheNorm() {
    for value in [Float.nan, .infinity] {
      let found = [1, value, 2].withUnsafeBufferPointer { norm(blockSums($0), scale: 1) }
      #expect(!found.isFinite)
    }
  }
}
