import Optimizers
import Testing

@Suite struct GradientNormTests {
  @Test func clipsToTheLimitAndNotBelow() {
    #expect(GradientNorm.clippingFactor(norm: 0.5, limit: 1) == 1)
    #expect(GradientNorm.clippingFactor(norm: 1e9, limit: 0) == 1)
    #expect(GradientNorm.clippingFactor(norm: 0, limit: 1) == 1)
    #expect(GradientNorm.clippingFactor(norm: 10, limit: 5) == 5 / (10 + 1e-6))
    #expect(GradientNorm.clippingFactor(norm: .infinity, limit: 5) == 0)
  }
}
