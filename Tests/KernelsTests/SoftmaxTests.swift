import Kernels
import NumericSupport
import Parameters
import Testing

@Suite struct SoftmaxTests {
  @Test(arguments: [1, 2, 7, 16, 31, 32, 33, 1000], [1.0, 30.0]) func agreesWithTheNaiveTwin(
    vocabulary: Int, range: Double
  ) throws {
    try withEachArithmetic { scratch, arithmetic in
      let rows = 6
      let logits = try scratch.uniform(rows, vocabulary, stride: vocabulary + 2, range: range)
      let bias = try scratch.uniform(1, vocabulary)
      var targets = scratch.integers(rows, below: vocabulary)
      targets[2] = -1
      let (expected, scored) = (try scratch.copy(logits), try scratch.copy(logits))
      var (losses, naive, alone) = (
        [Double](repeating: .nan, count: rows), [Double](repeating: .nan, count: rows),
        [Double](repeating: .nan, count: rows)
      )
      Softmax.naiveGradient(expected, bias: bias.pointer, targets: targets, losses: &naive)
      arithmetic.softmaxLoss(scored, bias: bias.pointer, targets: targets, losses: &alone)
      arithmetic.softmaxGradient(logits, bias: bias.pointer, targets: targets, losses: &losses)
      for row in 0..<rows { #expect(abs(losses[row] - naive[row]) < 2e-7 * range + 1e-6) }
      #expect(alone == losses)
      #expect(losses[2] == 0)
      #expect(logits.rows(2..<3).values.allSatisfy { $0 == 0 })
      // Logits are rounded to 2^-24 of their size before the exponential.
      let tolerance = Float(range) * 2e-7 + 3e-7
      #expect(zip(logits.values, expected.values).allSatisfy { abs($0 - $1) < tolerance })
      #expect(logits.gapsAreUntouched)
    }
  }

  @Test(arguments: [2, 17, 33]) func hugeLogitsStayFinite(vocabulary: Int) throws {
    try withEachArithmetic { scratch, arithmetic in
      let logits = try scratch.uniform(4, vocabulary, range: 1e4)
      logits[0, 0] = 1e4
      logits[1, vocabulary - 1] = -3e38
      let expected = try scratch.copy(logits)
      let bias = try scratch.zeros(1, vocabulary)
      let targets = scratch.integers(4, below: vocabulary)
      var (losses, naive) = ([Double](repeating: 0, count: 4), [Double](repeating: 0, count: 4))
      Softmax.naiveGradient(expected, bias: bias.pointer, targets: targets, losses: &naive)
      arithmetic.softmaxGradient(logits, bias: bias.pointer, targets: targets, losses: &losses)
      #expect(logits.values.allSatisfy { $0.isFinite && abs($0) <= 1 })
      for row in 0..<4 {
        #expect(losses[row].isFinite && abs(losses[row] - naive[row]) <= 1e-6 * abs(naive[row]) + 1e-3)
      }
    }
  }

  @Test(arguments: [Float.nan, .infinity], [1, 2, 16, 33]) func aBrokenLogitBreaksTheLoss(
    value: Float, vocabulary: Int
  ) throws {
    try withEachArithmetic { scratch, arithmetic in
      let bias = try scratch.zeros(1, vocabulary)
      // Wherever it stands, and whether or not it is the target's.
      for column in 0..<vocabulary {
        for target in [0, vocabulary - 1] {
          let logits = try scratch.uniform(1, vocabulary)
          logits[0, column] = value
          let scored = try scratch.copy(logits)
          var losses = [0.0, 0.0]
          arithmetic.softmaxGradient(logits, bias: bias.pointer, targets: [Int32(target)], losses: &losses[0])
          arithmetic.softmaxLoss(scored, bias: bias.pointer, targets: [Int32(target)], losses: &losses[1])
          #expect(!losses[0].isFinite && !losses[1].isFinite)
          #expect(logits.values.contains { !$0.isFinite })
        }
      }
    }
  }

  @Test func anImpossibleTargetCostsInfinitely() throws {
    try withEachArithmetic { scratch, arithmetic in
      let logits = try scratch.uniform(1, 20)
      logits[0, 3] = -.infinity
      let bias = try scratch.zeros(1, 20)
      var losses = [0.0]
      arithmetic.softmaxGradient(logits, bias: bias.pointer, targets: [3], losses: &losses)
      #expect(losses == [.infinity])
    }
  }

  @Test func aRowsGradientSumsToZero() throws {
    try withEachArithmetic { scratch, arithmetic in
      let logits = try scratch.uniform(3, 1000, range: 5)
      let bias = try scratch.uniform(1, 1000)
      var losses = [0.0, 0, 0]
      arithmetic.softmaxGradient(logits, bias: bias.pointer, targets: [0, 500, 999], losses: &losses)
      for row in 0..<3 {
        let sum = logits.rows(row..<(row + 1)).values.reduce(0.0) { $0 + Double($1) }
        #expect(abs(sum) < 1e-6)
      }
    }
  }
}
