import Failures
import Foundation
import Inference
import TestSupport
import Testing

@Suite struct SamplerTests {
  private func draw(_ sampler: Sampler, _ logits: [Float], _ count: Int) throws -> [Int32] {
    var sampler = sampler
    return try logits.withUnsafeBufferPointer { logits in try (0..<count).map { _ in try sampler.next(logits) } }
  }

  private func shares(_ sampler: Sampler, _ logits: [Float], _ count: Int = 20_000) throws -> [Double] {
    var counts = [Double](repeating: 0, count: logits.count)
    for token in try draw(sampler, logits, count) { counts[Int(token)] += 1 }
    return counts.map { $0 / Double(count) }
  }

  private func expectClose(_ found: [Double], _ expected: [Double], location: SourceLocation = #_sourceLocation) {
    for (found, expected) in zip(found, expected) {
      // Four standard deviations of 20,000 draws are below 0.0142.
      #expect(abs(found - expected) < 0.015, sourceLocation: location)
      if expected == 0 { #expect(found == 0, sourceLocation: location) }
    }
  }

  /// Probabilities 0.1, 0.4, 0.2, 0.3.
  private let logits = [0.1, 0.4, 0.2, 0.3].map { Float(log($0) + 3) }

  @Test func drawsByProbability() throws {
    expectClose(try shares(Sampler(), logits), [0.1, 0.4, 0.2, 0.3])
  }

  @Test func temperatureSharpensAndFlattens() throws {
    // p^2 and p^(1/2), normalised.
    expectClose(try shares(Sampler(temperature: 0.5), logits), [1, 16, 4, 9].map { $0 / 30.0 })
    let roots = [0.1, 0.4, 0.2, 0.3].map { $0.squareRoot() }
    expectClose(try shares(Sampler(temperature: 2), logits), roots.map { $0 / roots.reduce(0, +) })
  }

  @Test func temperatureZeroTakesTheMostProbable() throws {
    #expect(try draw(Sampler(temperature: 0), logits, 50) == Array(repeating: 1, count: 50))
    #expect(try draw(Sampler(temperature: 0), [1, 5, 5, 2], 3) == [1, 1, 1])
    // Next to zero must not overflow.
    #expect(try draw(Sampler(temperature: 1e-300), logits, 20) == Array(repeating: 1, count: 20))
  }

  @Test func topKLeavesTheKMostProbable() throws {
    expectClose(try shares(Sampler(topK: 2), logits), [0, 4.0 / 7, 0, 3.0 / 7])
    #expect(try draw(Sampler(topK: 1), logits, 50) == Array(repeating: 1, count: 50))
    expectClose(try shares(Sampler(topK: 99), logits), [0.1, 0.4, 0.2, 0.3])
  }

  @Test func topPLeavesTheFewestThatReachIt() throws {
    expectClose(try shares(Sampler(topP: 0.65), logits), [0, 4.0 / 7, 0, 3.0 / 7])
    expectClose(try shares(Sampler(topP: 0.75), logits), [0, 4.0 / 9, 2.0 / 9, 3.0 / 9])
    #expect(try draw(Sampler(topP: 1e-9), logits, 50) == Array(repeating: 1, count: 50))
    // After top-k, of the whole vocabulary's probability or of what is left, 0.5 needs two of them.
    expectClose(try shares(Sampler(topK: 3, topP: 0.6), logits), [0, 4.0 / 7, 0, 3.0 / 7])
  }

  @Test func theSeedDecides() throws {
    let first = try draw(Sampler(seed: 4), logits, 200)
    #expect(try draw(Sampler(seed: 4), logits, 200) == first)
    #expect(try draw(Sampler(seed: 5), logits, 200) != first)
  }

  @Test func valuesOutOfRangeAreRefused() {
    for temperature in [-1, .infinity, .nan] {
      expectFailure(.usage, "--temperature") { try Sampler(temperature: temperature) }
    }
    expectFailure(.usage, "--top-k") { try Sampler(topK: 0) }
    for topP in [0, -0.5, 1.01, .nan] { expectFailure(.usage, "--top-p") { try Sampler(topP: topP) } }
  }

  @Test func outputThatIsNoNumberIsRefused() {
    for value in [Float.nan, .infinity] {
      expectFailure(.badData, "not a number") { try draw(Sampler(), [1, value, 2], 1) }
    }
  }
}
