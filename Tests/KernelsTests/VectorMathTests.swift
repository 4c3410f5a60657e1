import Foundation
import Kernels
import NumericSupport
import Parameters
import Testing

/// Accuracy of sigmoid, tanh and softmax in units in the last place, over a dense sweep of floats; sums.
@Suite struct VectorMathTests {
  /// `activation` of each value.
  private func map(_ activation: Activation, _ values: [Float], _ arithmetic: Arithmetic) -> [Float] {
    var result = values
    let bias = [Float](repeating: 0, count: values.count)
    result.withUnsafeMutableBufferPointer { buffer in
      activation.forward(MatrixView(buffer.baseAddress!, rows: 1, columns: values.count), bias: bias, arithmetic)
    }
    return result
  }

  /// Every `step`-th float of both signs in a range.
  private func floats(in range: ClosedRange<Float>, every step: Int = 509) -> [Float] {
    let top = max(abs(range.lowerBound), range.upperBound).bitPattern
    return stride(from: Float(1e-30).bitPattern, through: top, by: step).flatMap { bits in
      [Float(bitPattern: bits), -Float(bitPattern: bits)].filter(range.contains)
    }
  }

  /// The largest distance of `found` to `exact`, in units in the last place of the exact value.
  private func largestUlp(_ inputs: [Float], _ found: [Float], exact: (Double) -> Double) -> Double {
    var worst = 0.0
    for (x, y) in zip(inputs, found) {
      let truth = exact(Double(x))
      // In Double: this thread may take a denormal float, as a unit in the last place can be, for zero.
      let exponent = max(abs(truth), 0x1p-126).exponent
      let error = abs(Double(y) - truth) / Double(sign: .plus, exponent: exponent - 23, significand: 1)
      // Written so that NaN counts as wrong.
      if !(error <= worst) { worst = error }
    }
    return worst
  }

  @Test(arguments: Arithmetic.available) func sigmoidIsAccurate(_ arithmetic: Arithmetic) {
    let inputs = floats(in: -87...87)
    let error = largestUlp(inputs, map(.sigmoid, inputs, arithmetic)) { 1 / (1 + exp(-$0)) }
    // Measured: 2.40.
    #expect(error > 0 && error < 2.5)
  }

  @Test(arguments: Arithmetic.available) func hyperbolicTangentIsAccurate(_ arithmetic: Arithmetic) {
    let inputs = floats(in: -100...100)
    let error = largestUlp(inputs, map(.tanh, inputs, arithmetic)) { tanh($0) }
    // Measured: 1.28.
    #expect(error > 0 && error < 1.5)
  }

  /// The second of two classes, of which the first has a logit of 0.
  @Test(arguments: Arithmetic.available) func softmaxIsAccurate(_ arithmetic: Arithmetic) {
    let inputs = floats(in: -80...0)
    var logits: [Float] = inputs.flatMap { [0, $0] as [Float] }
    let targets = [Int32](repeating: 0, count: inputs.count)
    var losses = [Double](repeating: 0, count: inputs.count)
    logits.withUnsafeMutableBufferPointer { buffer in
      arithmetic.softmaxGradient(
        MatrixView(buffer.baseAddress!, rows: inputs.count, columns: 2), bias: [0, 0], targets: targets, losses: &losses
      )
    }
    let found = stride(from: 1, to: logits.count, by: 2).map { logits[$0] }
    let error = largestUlp(inputs, found) { exp($0) / (1 + exp($0)) }
    #expect(error > 0 && error < 3)
  }

  @Test(arguments: Arithmetic.available) func endsOfTheRangeSaturate(_ arithmetic: Arithmetic) {
    func map(_ activation: Activation, _ x: Float) -> Float { self.map(activation, [x], arithmetic)[0] }
    for x in [Float(89), 1000, .greatestFiniteMagnitude, .infinity] {
      #expect(map(.sigmoid, x) == 1)
      #expect((0..<2e-38).contains(map(.sigmoid, -x)))
      #expect(map(.tanh, x) == 1)
      #expect(map(.tanh, -x) == -1)
    }
    #expect(map(.sigmoid, 0) == 0.5)
    #expect(map(.tanh, 0) == 0)
    for activation in [Activation.sigmoid, .tanh] { #expect(map(activation, .nan).isNaN) }
  }

  @Test(arguments: Arithmetic.available) func aValueDoesNotDependOnItsPlace(_ arithmetic: Arithmetic) throws {
    try withScratchValues(count: 67) { values in
      for activation in Activation.allCases {
        let alone = values.map { map(activation, [$0], arithmetic)[0].bitPattern }
        for first in [0, 1, 5, 16, 50, 66] {
          for count in [1, 7, 15, 16, 17] where first + count <= values.count {
            let part = map(activation, Array(values[first..<(first + count)]), arithmetic)
            #expect(part.map(\.bitPattern) == Array(alone[first..<(first + count)]))
          }
        }
      }
    }
  }

  @Test(arguments: Arithmetic.available) func sumsOfSquaresAreExactToDouble(_ arithmetic: Arithmetic) throws {
    for count in [0, 1, 7, 8, 33, 1000] {
      try withScratchValues(count: count) { values in
        let expected = values.reduce(0.0) { $0 + Double($1) * Double($1) }
        #expect(abs(arithmetic.squaredNorm(values, count: count) - expected) <= 1e-13 * expected)
      }
    }
    #expect(arithmetic.squaredNorm([1, .nan], count: 2).isNaN)
    #expect(arithmetic.squaredNorm([Float](repeating: 3e38, count: 20), count: 20).isFinite)
  }

  @Test(arguments: Arithmetic.available) func additionsAddEveryElement(_ arithmetic: Arithmetic) throws {
    for count in [1, 7, 8, 16, 33] {
      try withScratchValues(count: 2 * count) { values in
        let (a, b) = (Array(values[..<count]), Array(values[count...]))
        var (added, sum) = (a, [Float](repeating: .nan, count: count))
        arithmetic.add(b, to: &added, count: count)
        arithmetic.sum(a, b, into: &sum, count: count)
        #expect(added == zip(a, b).map { $0 + $1 })
        #expect(sum == added)
      }
    }
  }

  private func withScratchValues(count: Int, _ body: ([Float]) -> Void) throws {
    try withScratch { body(try $0.uniform(1, count, range: 8).values) }
  }
}
