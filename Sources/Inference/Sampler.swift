import Failures
import Foundation
import Kernels

/// Draws tokens from a model's logits with a temperature, from the k most probable tokens (top-k) and the smallest set
/// of
/// probability p (top-p or nucleus sampling, Holtzman et al. 2020).
package struct Sampler: Sendable {
  /// Divides the logits; 0 always selects the most probable token.
  package let temperature: Double
  /// The number of most probable tokens to draw from; nil: all.
  package let topK: Int?
  /// Draws only from the most probable tokens that together reach this probability; 1: all.
  package let topP: Double
  private var random: RandomStream

  /// - Throws: ``Failure`` (usage) for values out of range.
  package init(temperature: Double = 1, topK: Int? = nil, topP: Double = 1, seed: UInt64 = 1) throws {
    guard temperature >= 0, temperature.isFinite else {
      throw Failure(.usage, "\(temperature) is not a temperature", at: "--temperature", remedy: "give 0 or more")
    }
    guard topK.map({ $0 >= 1 }) ?? true else {
      throw Failure(.usage, "\(topK ?? 0) tokens are too few", at: "--top-k", remedy: "give 1 or more")
    }
    guard topP > 0, topP <= 1 else {
      throw Failure(.usage, "\(topP) is not a probability above 0", at: "--top-p", remedy: "give a number in (0, 1]")
    }
    (self.temperature, self.topK, self.topP) = (temperature, topK, topP)
    random = RandomStream(seed: seed, stream: 0)
  }

  /// Draws one token. In a tie the lower id comes first.
  ///
  /// - Throws: ``Failure`` (bad data) if any logit is not finite.
  package mutating func next(_ logits: UnsafeBufferPointer<Float>) throws -> Int32 {
    guard logits.allSatisfy(\.isFinite) else {
      throw Failure(
        .badData, "the model's output is not a number", remedy: "the run had diverged; take an earlier checkpoint")
    }
    let order = logits.indices.sorted { logits[$0] != logits[$1] ? logits[$0] > logits[$1] : $0 < $1 }
    guard temperature > 0, let first = order.first else { return Int32(order[0]) }
    var candidates = order.prefix(topK ?? order.count)
    let maximum = Double(logits[first])
    // As is usual, top-p applies after temperature and top-k: to the probabilities among the remaining candidates.
    let weights = candidates.map { exp((Double(logits[$0]) - maximum) / temperature) }
    let total = weights.reduce(0, +)
    var kept = 0
    var mass = 0.0
    while kept < weights.count, kept == 0 || mass < topP * total {
      mass += weights[kept]
      kept += 1
    }
    candidates = candidates.prefix(kept)
    var threshold = random.nextUnit() * mass
    for (weight, candidate) in zip(weights, candidates) {
      threshold -= weight
      if threshold < 0 { return Int32(candidate) }
    }
    return Int32(candidates[candidates.endIndex - 1])
  }
}
