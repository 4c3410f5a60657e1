import Kernels
import Optimizers
import Parameters
import Testing

/// The vector kernels behind the optimisers, against the naive twin and values worked out by hand.
@Suite struct OptimizerTests {
  static let rules: [UpdateRule] = [
    .sgd(momentum: 0), .sgd(momentum: 0.9), .adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8),
    .rmsprop(alpha: 0.99, epsilon: 1e-8), .adagrad(epsilon: 1e-10),
  ]

  @Test(arguments: rules, Arithmetic.available)
  func followsTheNaiveTwin(_ rule: UpdateRule, _ arithmetic: Arithmetic) throws {
    for (count, first, weightDecay) in [(1, 0, 0.01), (7, 16, 0), (8, 16, 0.01), (33, 32, 0), (33, 32, 0.01)] {
      let weights = try FloatBuffer(count: 80)
      let gradients = try FloatBuffer(count: count)
      let segment = first..<(first + count)
      let optimizer = try Optimizer(rule, weightDecay: weightDecay, segment: segment, arithmetic)
      var random = RandomStream(seed: 1, stream: 0)
      for i in 0..<80 { weights.buffer[i] = Float(random.nextUnit() - 0.5) }
      let before = Array(weights.buffer)
      var expected = segment.map { Double(before[$0]) }
      var slots = [[Double]](repeating: rule.slotNames.map { _ in 0 }, count: count)
      let (scale, rate) = (0.125, 0.01)
      for update in 1...8 {
        for i in 0..<count {
          gradients.buffer[i] = Float(8 * (random.nextUnit() - 0.5))
          (expected[i], slots[i]) = Optimizer.naiveStep(
            rule, weight: expected[i], gradient: scale * Double(gradients.buffer[i]), slots: slots[i],
            updates: update, learningRate: rate, weightDecay: weightDecay)
        }
        optimizer.step(weights, gradients.pointer, scale: Float(scale), rate: rate)
        #expect(optimizer.updates == update)
        for i in 0..<count {
          // A step is at most about the rate: its own error counts, not only that of the sum.
          #expect(abs(Double(weights.buffer[first + i]) - expected[i]) < 1e-7 * Double(update) + 1e-6 * rate)
          for (name, (slot, value)) in zip(rule.slotNames, zip(optimizer.slots, slots[i])) {
            // A mean of squares has no cancellation, so all its digits count.
            let tolerance = ["exp_avg", "momentum_buffer"].contains(name) ? 5e-7 : 1e-6 * value
            #expect(abs(Double(slot.buffer[i]) - value) <= tolerance, "\(name)")
          }
        }
      }
      for i in 0..<80 where !segment.contains(i) { #expect(weights.buffer[i] == before[i]) }
    }
  }

  /// The first step of each rule from w = 1 with g = 0.5 and rate 0.1, by hand.
  @Test func firstStepsByHand() throws {
    let expected: [(UpdateRule, Double)] = [
      (.sgd(momentum: 0), 1 - 0.1 * 0.5),
      // The velocity starts as the gradient.
      (.sgd(momentum: 0.9), 1 - 0.1 * 0.5),
      // The corrections make the first step g / |g|.
      (.adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8), 1 - 0.1),
      // √((1 − α) g²) = 0.05, so the step is rate · 0.5 / 0.05.
      (.rmsprop(alpha: 0.99, epsilon: 1e-8), 1 - 0.1 * 10),
      (.adagrad(epsilon: 1e-10), 1 - 0.1),
    ]
    for (rule, value) in expected {
      #expect(abs(try walk(rule, gradients: [0.5]) - value) < 2e-7, "\(rule)")
    }
  }

  /// The second step with g = −0.25, by hand.
  @Test func secondStepsByHand() throws {
    let momentum = 1 - 0.1 * 0.5 - 0.1 * (0.9 * 0.5 - 0.25)
    #expect(abs(try walk(.sgd(momentum: 0.9), gradients: [0.5, -0.25]) - momentum) < 2e-7)
    // m = 0.9·0.05 − 0.1·0.25 = 0.02, over 1 − 0.81 = 0.19; v = (0.999·0.25 + 0.0625)/1000, over 1 − 0.998001.
    let adam = 1 - 0.1 - 0.1 * (0.02 / 0.19) / (0.00031225 / 0.001999).squareRoot()
    let found = try walk(.adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8), gradients: [0.5, -0.25])
    #expect(abs(found - adam) < 2e-7)
    let adagrad = 1 - 0.1 + 0.1 * 0.25 / (0.25 + 0.0625).squareRoot()
    #expect(abs(try walk(.adagrad(epsilon: 1e-10), gradients: [0.5, -0.25]) - adagrad) < 2e-7)
  }

  private func walk(_ rule: UpdateRule, gradients: [Float]) throws -> Double {
    let weights = try FloatBuffer(count: 1)
    weights.buffer[0] = 1
    let optimizer = try Optimizer(rule, segment: 0..<1, .best)
    for gradient in gradients {
      optimizer.step(weights, [gradient], scale: 1, rate: 0.1)
    }
    return Double(weights.buffer[0])
  }

  /// Workers that own parts of the arena, and a resumed run, must make the same bits.
  @Test(arguments: rules, Arithmetic.available)
  func segmentsAndRestartsChangeNoBit(_ rule: UpdateRule, _ arithmetic: Arithmetic) throws {
    let count = 100
    func gradients(_ step: Int) -> [Float] {
      var random = RandomStream(seed: 2, stream: UInt64(step))
      return (0..<count).map { _ in Float(random.nextUnit() - 0.5) }
    }
    func train(_ segments: [Range<Int>], restart: Bool) throws -> [UInt32] {
      let weights = try FloatBuffer(count: count)
      var optimizers = try segments.map { try Optimizer(rule, weightDecay: 0.1, segment: $0, arithmetic) }
      for step in 0..<6 {
        if restart && step == 3 {
          optimizers = try optimizers.map { old in
            let new = try Optimizer(rule, weightDecay: 0.1, segment: old.segment, arithmetic)
            new.updates = old.updates
            for (from, to) in zip(old.slots, new.slots) { _ = to.buffer.update(from: from.buffer) }
            return new
          }
        }
        let all = gradients(step)
        for optimizer in optimizers {
          optimizer.step(weights, Array(all[optimizer.segment]), scale: 0.3, rate: 0.05)
        }
      }
      return weights.buffer.map(\.bitPattern)
    }
    let whole = try train([0..<count], restart: false)
    #expect(try train([0..<16, 16..<48, 48..<100], restart: false) == whole)
    #expect(try train([0..<1, 1..<34, 34..<100], restart: true) == whole)
  }

  @Test func namesArePyTorchs() {
    #expect(Self.rules.map(\.name.rawValue) == ["sgd", "sgd", "adam", "rmsprop", "adagrad"])
    #expect(
      Self.rules.map(\.slotNames) == [
        [], ["momentum_buffer"], ["exp_avg", "exp_avg_sq"], ["square_avg"], ["sum"],
      ])
  }

  @Test(arguments: rules) func aBrokenGradientBreaksTheWeight(_ rule: UpdateRule) throws {
    let weights = try FloatBuffer(count: 2)
    let optimizer = try Optimizer(rule, segment: 0..<2, .best)
    optimizer.step(weights, [.nan, 1], scale: 1, rate: 0.1)
    #expect(weights.buffer[0].isNaN && weights.buffer[1].isFinite)
  }

  /// The rows of words that occur early only: their gradient is zero from then on, and their moments fade away.
  @Test(arguments: rules, Arithmetic.available)
  func slotsFadeToZeroAndNotToDenormals(_ rule: UpdateRule, _ arithmetic: Arithmetic) throws {
    Arithmetic.flushDenormals()
    let (weights, gradients) = (try FloatBuffer(count: 40), try FloatBuffer(count: 40))
    gradients.fill(1e-3)
    let optimizer = try Optimizer(rule, segment: 0..<40, arithmetic)
    for step in 0..<1500 {
      if step == 3 { gradients.fill(0) }
      optimizer.step(weights, gradients.pointer, scale: 1, rate: 1e-3)
    }
    for slot in optimizer.slots { #expect(!slot.buffer.contains { $0.isSubnormal }) }
    // Unfused, a moment stops where a tenth of it is denormal.
    if case .adam = rule { #expect(optimizer.slots[0].buffer.allSatisfy { abs($0) < 1e-36 }) }
  }
}

extension Optimizer {
  /// One step over the whole segment.
  fileprivate func step(_ weights: FloatBuffer, _ gradients: UnsafePointer<Float>, scale: Float, rate: Double) {
    beginStep(gradientScale: scale, learningRate: rate)
    update(segment, of: weights, gradients)
  }
}
