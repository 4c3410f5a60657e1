import Foundation
import Kernels
import NumericSupport
import Parameters
import Testing

/// Accuracy of exp, sigmoid and tanh in units in the last place, over a dense sweep of floats.
@Suite struct VectorMathTests {
  typealias Map = @Sendable (UnsafeMutableBufferPointer<Float>) -> Void

  /// The largest distance to `exact`, in units in the last place of the exact value, over every `step`-th float of
  /// both signs up to `limit` in magnitude.
  private func largestUlp(
    _ kernel: Map, upTo limit: ClosedRange<Float>, every step: Int,
    exact: (Double) -> Double
  ) -> Double {
    var worst = 0.0
    let top = max(abs(limit.lowerBound), limit.upperBound).bitPattern
    var inputs: [Float] = []
    for bits in stride(from: Float(1e-30).bitPattern, through: top, by: step) {
      for x in [Float(bitPattern: bits), -Float(bitPattern: bits)] where limit.contains(x) { inputs.append(x) }
    }
    var outputs = inputs
    outputs.withUnsafeMutableBufferPointer { kernel($0) }
    for (x, y) in zip(inputs, outputs) {
      let truth = exact(Double(x))
      // In Double: this thread may take a denormal float, as a unit in the last place can be, for zero.
      let exponent = max(abs(truth), 0x1p-126).exponent
      let error = abs(Double(y) - truth) / Double(sign: .plus, exponent: exponent - 23, significand: 1)
      // Written so that NaN counts as wrong.
      if !(error <= worst) { worst = error }
    }
    return worst
  }

  @Test(arguments: Arithmetic.available) func exponentialIsAccurate(_ arithmetic: Arithmetic) {
    let error = largestUlp(arithmetic.exponential, upTo: -87...88, every: 509) { exp($0) }
    // Measured: 0.996.
    #expect(error < 1)
  }

  @Test(arguments: Arithmetic.available) func sigmoidIsAccurate(_ arithmetic: Arithmetic) {
    let error = largestUlp(arithmetic.sigmoid, upTo: -87...87, every: 509) { 1 / (1 + exp(-$0)) }
    // Measured: 2.11.
    #expect(error < 2.5)
  }

  @Test(arguments: Arithmetic.available) func hyperbolicTangentIsAccurate(_ arithmetic: Arithmetic) {
    let error = largestUlp(arithmetic.hyperbolicTangent, upTo: -100...100, every: 509) { tanh($0) }
    // Measured: 1.28.
    #expect(error < 1.5)
  }

  @Test(arguments: Arithmetic.available) func endsOfTheRangeSaturate(_ arithmetic: Arithmetic) {
    func map(_ kernel: Map, _ x: Float) -> Float {
      var value = [x]
      value.withUnsafeMutableBufferPointer { kernel($0) }
      return value[0]
    }
    for x in [Float(89), 1000, .greatestFiniteMagnitude, .infinity] {
      #expect(map(arithmetic.exponential, x) > 1e38)
      #expect(map(arithmetic.exponential, -x) < 2e-38)
      #expect(map(arithmetic.sigmoid, x) == 1)
      #expect((0..<2e-38).contains(map(arithmetic.sigmoid, -x)))
      #expect(map(arithmetic.hyperbolicTangent, x) == 1)
      #expect(map(arithmetic.hyperbolicTangent, -x) == -1)
    }
    #expect(map(arithmetic.exponential, 0) == 1)
    #expect(map(arithmetic.sigmoid, 0) == 0.5)
    #expect(map(arithmetic.hyperbolicTangent, 0) == 0)
    for kernel: Map in [arithmetic.exponential, arithmetic.sigmoid, arithmetic.hyperbolicTangent] {
      #expect(map(kernel, .nan).isNaN)
    }
  }

  @Test(arguments: Arithmetic.available) func aValueDoesNotDependOnItsPlace(_ arithmetic: Arithmetic) {
    withScratchValues(count: 67) { values in
      for kernel: Map in [arithmetic.exponential, arithmetic.sigmoid, arithmetic.hyperbolicTangent] {
        let alone = values.map { x in
          var value = [x]
          value.withUnsafeMutableBufferPointer { kernel($0) }
          return value[0].bitPattern
        }
        for first in [0, 1, 5, 16, 50, 66] {
          for count in [1, 7, 15, 16, 17] where first + count <= values.count {
            var part = Array(values[first..<(first + count)])
            part.withUnsafeMutableBufferPointer { kernel($0) }
            #expect(part.map(\.bitPattern) == Array(alone[first..<(first + count)]))
          }
        }
      }
    }
  }

  @Test(arguments: Arithmetic.available) func sumsOfSquaresAreExactToDouble(_ arithmetic: Arithmetic) {
    for count in [0, 1, 7, 8, 33, 1000] {
      withScratchValues(count: count) { values in
        let expected = values.reduce(0.0) { $0 + Double($1) * Double($1) }
        #expect(abs(arithmetic.squaredNorm(values, count: count) - expected) <= 1e-13 * expected)
      }
    }
    #expect(arithmetic.squaredNorm([1, .nan], count: 2).isNaN)
    #expect(arithmetic.squaredNorm([Float](repeating: 3e38, count: 20), count: 20).isFinite)
  }

  @Test(arguments: Arithmetic.available) func additionsAddEveryElement(_ arithmetic: Arithmetic) {
    for count in [1, 7, 8, 16, 33] {
      withScratchValues(count: 2 * count) { values in
        let (a, b) = (Array(values[..<count]), Array(values[count...]))
        var (added, sum) = (a, [Float](repeating: .nan, count: count))
        arithmetic.add(b, to: &added, count: count)
        arithmetic.sum(a, b, into: &sum, count: count)
        #expect(added == zip(a, b).map { $0 + $1 })
        #expect(sum == added)
      }
    }
  }

  private func withScratchValues(count: Int, _ body: ([Float]) -> Void) {
    try? withScratch { body(try $0.uniform(1, count, range: 8).values) }
  }
}
