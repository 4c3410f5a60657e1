import Arena
import CKernels
import Foundation
import Kernels
import NumericSupport
import Testing

/// Accuracy of exp, sigmoid and tanh in units in the last place, over a dense sweep of floats.
@Suite struct VectorMathTests {
  /// The largest distance to `exact`, in units in the last place of the exact value, over every `step`-th float of
  /// both signs up to `limit` in magnitude.
  private func largestUlp(
    _ kernel: (UnsafeMutablePointer<Float>, Int) -> Void, upTo limit: ClosedRange<Float>, every step: Int,
    exact: (Double) -> Double
  ) -> Double {
    var worst = 0.0
    let top = max(abs(limit.lowerBound), limit.upperBound).bitPattern
    var inputs: [Float] = []
    for bits in stride(from: Float(1e-30).bitPattern, through: top, by: step) {
      for x in [Float(bitPattern: bits), -Float(bitPattern: bits)] where limit.contains(x) { inputs.append(x) }
    }
    var outputs = inputs
    outputs.withUnsafeMutableBufferPointer { kernel($0.baseAddress!, $0.count) }
    for (x, y) in zip(inputs, outputs) {
      let truth = exact(Double(x))
      let error = abs(Double(y) - truth) / Double(max(Float(truth).magnitude, .leastNormalMagnitude).ulp)
      // Written so that NaN counts as wrong.
      if !(error <= worst) { worst = error }
    }
    return worst
  }

  @Test(arguments: KernelBuild.all) func exponentialIsAccurate(_ build: KernelBuild) {
    let error = largestUlp(build.table.exponential, upTo: -87...88, every: 509) { exp($0) }
    // Measured: 0.996.
    #expect(error < 1)
  }

  @Test(arguments: KernelBuild.all) func sigmoidIsAccurate(_ build: KernelBuild) {
    let error = largestUlp(build.table.sigmoid, upTo: -87...87, every: 509) { 1 / (1 + exp(-$0)) }
    // Measured: 2.11.
    #expect(error < 2.5)
  }

  @Test(arguments: KernelBuild.all) func hyperbolicTangentIsAccurate(_ build: KernelBuild) {
    let error = largestUlp(build.table.hyperbolic_tangent, upTo: -100...100, every: 509) { tanh($0) }
    // Measured: 1.28.
    #expect(error < 1.5)
  }

  @Test(arguments: KernelBuild.all) func endsOfTheRangeSaturate(_ build: KernelBuild) {
    func map(_ kernel: (UnsafeMutablePointer<Float>, Int) -> Void, _ x: Float) -> Float {
      var value = x
      kernel(&value, 1)
      return value
    }
    for x in [Float(89), 1000, .greatestFiniteMagnitude, .infinity] {
      #expect(map(build.table.exponential, x) > 1e38)
      #expect(map(build.table.exponential, -x) < 2e-38)
      #expect(map(build.table.sigmoid, x) == 1)
      #expect((0..<2e-38).contains(map(build.table.sigmoid, -x)))
      #expect(map(build.table.hyperbolic_tangent, x) == 1)
      #expect(map(build.table.hyperbolic_tangent, -x) == -1)
    }
    #expect(map(build.table.exponential, 0) == 1)
    #expect(map(build.table.sigmoid, 0) == 0.5)
    #expect(map(build.table.hyperbolic_tangent, 0) == 0)
    for kernel in [build.table.exponential, build.table.sigmoid, build.table.hyperbolic_tangent] {
      #expect(map(kernel, .nan).isNaN)
    }
  }

  @Test(arguments: KernelBuild.all) func aValueDoesNotDependOnItsPlace(_ build: KernelBuild) {
    withScratchValues(count: 67) { values in
      for kernel in [build.table.exponential, build.table.sigmoid, build.table.hyperbolic_tangent] {
        let alone = values.map { x in
          var value = x
          kernel(&value, 1)
          return value.bitPattern
        }
        for first in [0, 1, 5, 16, 50, 66] {
          for count in [1, 7, 15, 16, 17] where first + count <= values.count {
            var part = Array(values[first..<(first + count)])
            kernel(&part, part.count)
            #expect(part.map(\.bitPattern) == Array(alone[first..<(first + count)]))
          }
        }
      }
    }
  }

  @Test(arguments: KernelBuild.all) func sumsOfSquaresAreExactToDouble(_ build: KernelBuild) {
    for count in [0, 1, 7, 8, 33, 1000] {
      withScratchValues(count: count) { values in
        let expected = values.reduce(0.0) { $0 + Double($1) * Double($1) }
        #expect(abs(build.table.squared_norm(values, count) - expected) <= 1e-13 * expected)
      }
    }
    #expect(build.table.squared_norm([1, .nan], 2).isNaN)
    #expect(build.table.squared_norm([Float](repeating: 3e38, count: 20), 20).isFinite)
  }

  @Test(arguments: KernelBuild.all) func additionsAddEveryElement(_ build: KernelBuild) {
    for count in [1, 7, 8, 16, 33] {
      withScratchValues(count: 2 * count) { values in
        let (a, b) = (Array(values[..<count]), Array(values[count...]))
        var (added, sum) = (a, [Float](repeating: .nan, count: count))
        build.table.add(&added, b, count)
        build.table.sum(&sum, a, b, count)
        #expect(added == zip(a, b).map { $0 + $1 })
        #expect(sum == added)
      }
    }
  }

  private func withScratchValues(count: Int, _ body: ([Float]) -> Void) {
    try? withScratch { body(try $0.uniform(1, count, range: 8).values) }
  }
}
