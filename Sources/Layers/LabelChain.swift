import Foundation
import Interfaces
import Kernels
import Parameters

/// The parameters of a linear-chain conditional random field, named as in the module of pytorch-crf.
package struct ChainParameters: Sendable {
  /// [K]
  package let start: Parameter
  /// [K]
  package let end: Parameter
  /// [K, K], from row to column.
  package let transitions: Parameter

  package init(labels: Int, _ layout: inout ParameterLayout) {
    start = layout.declare("crf.start_transitions", [labels], .bias)
    end = layout.declare("crf.end_transitions", [labels], .bias)
    transitions = layout.declare("crf.transitions", [labels, labels], .bias)
  }
}

/// A linear chain over the labels of one sentence at a time (Lafferty et al. 2001). The score of labels y is
/// start[y₁] + Σ emission[t, yₜ] + Σ transitions[yₜ₋₁, yₜ] + end[yₙ], their probability its softmax over all paths.
///
/// Read from left to right, the distribution is a Markov chain: p(yₜ = j | yₜ₋₁ = i) is proportional to
/// exp(transitions[i, j] + emission[t, j]) · βₜ(j), with the backward variables β of Rabiner 1989. So each token has a loss of
/// its own, −log p(yₜ | yₜ₋₁), and these add up to the sentence's. Computed in `Double`, with β scaled at each step.
final class LabelChain {
  /// K
  let labels: Int
  private let parameters: ChainParameters
  private let weights: PackedParameters
  private var start: [Double]
  private var end: [Double]
  /// [K, K]
  private var transitions: [Double]
  private var mostStart = 0.0
  private var mostTransition = 0.0
  /// exp(transitions − their maximum)
  private var factors: [Double]
  /// By step: exp(emission − maximum) · β, scaled, [n, K].
  private var u: [Double]
  /// By step: Σⱼ factors[i, j] · u[t, j], [n, K]; at step 0 one sum over the starts.
  private var sums: [Double]
  /// log u where it is needed exactly, for the loss.
  private var logU: [Double]

  init(_ parameters: ChainParameters, _ weights: PackedParameters, steps: Int) {
    let k = parameters.start.count
    (labels, self.parameters, self.weights) = (k, parameters, weights)
    (start, end) = (Array(repeating: 0, count: k), Array(repeating: 0, count: k))
    (transitions, factors) = (Array(repeating: 0, count: k * k), Array(repeating: 0, count: k * k))
    u = Array(repeating: 0, count: steps * k)
    (sums, logU) = (u, u)
  }

  /// Bytes of the tables.
  static func bytes(labels k: Int, steps: Int) -> Int { 8 * (2 * k + 2 * k * k + 3 * steps * k) }

  /// Takes the current values of the parameters.
  func read(_ observer: any PassObserver) throws {
    for parameter in [parameters.start, parameters.end, parameters.transitions] { try observer.willRead(parameter) }
    func values(_ parameter: Parameter) -> [Double] { weights.store[parameter].map { Double($0) } }
    (start, end, transitions) = (values(parameters.start), values(parameters.end), values(parameters.transitions))
    (mostStart, mostTransition) = (start.max() ?? 0, transitions.max() ?? 0)
    factors = transitions.map { [mostTransition] in exp($0 - mostTransition) }
  }

  /// Computes the chain of a sentence.
  ///
  /// - Parameter emissions: by step, [K].
  func read(_ emissions: [UnsafePointer<Float>]) {
    let (k, n) = (labels, emissions.count)
    var logBeta = end
    for t in (0..<n).reversed() {
      // Relative to the largest, which becomes 1.
      for j in 0..<k { logU[t * k + j] = Double(emissions[t][j]) + logBeta[j] }
      let most = logU[(t * k)..<((t + 1) * k)].max() ?? 0
      for j in 0..<k {
        logU[t * k + j] -= most
        u[t * k + j] = exp(logU[t * k + j])
      }
      guard t > 0 else { continue }
      for i in 0..<k {
        var sum = 0.0
        for j in 0..<k { sum += factors[i * k + j] * u[t * k + j] }
        sums[t * k + i] = sum
        logBeta[i] = log(sum)
      }
    }
    sums[0] = (0..<k).reduce(0) { $0 + exp(start[$1] - mostStart) * u[$1] }
  }

  /// −log p(yₜ | yₜ₋₁) of the sentence that was read last.
  func loss(step t: Int, label: Int32, before: Int32?) -> Double {
    let (k, j) = (labels, Int(label))
    guard let before else { return log(sums[0]) - (start[j] - mostStart) - logU[j] }
    let i = Int(before)
    return log(sums[t * k + i]) - (transitions[i * k + j] - mostTransition) - logU[t * k + j]
  }

  /// The marginal probabilities of a step from those of the step before, [K] each; nil at the first step.
  func marginals(step t: Int, after before: [Double]?) -> [Double] {
    let k = labels
    guard let before else {
      return (0..<k).map { exp(start[$0] - mostStart) * u[$0] / sums[0] }
    }
    var result = [Double](repeating: 0, count: k)
    for i in 0..<k where before[i] > 0 {
      let share = before[i] / sums[t * k + i]
      for j in 0..<k { result[j] += share * factors[i * k + j] * u[t * k + j] }
    }
    return result
  }

  /// Adds the probabilities of the transitions into a step.
  ///
  /// - Parameter before: the marginals of the step before.
  func addTransitions(step t: Int, after before: [Double], to total: inout [Double]) {
    let k = labels
    for i in 0..<k where before[i] > 0 {
      let share = before[i] / sums[t * k + i]
      for j in 0..<k { total[i * k + j] += share * factors[i * k + j] * u[t * k + j] }
    }
  }

  /// The most probable labels (Viterbi 1967); of several equally probable ones the lowest.
  ///
  /// - Parameter isAllowed: whether a label may follow another; nil before the first.
  func bestLabels(_ emissions: [UnsafePointer<Float>], isAllowed: (Int?, Int) -> Bool) -> [Int32] {
    let (k, n) = (labels, emissions.count)
    guard n > 0 else { return [] }
    var scores = (0..<k).map { isAllowed(nil, $0) ? start[$0] + Double(emissions[0][$0]) : -.infinity }
    var origins: [[Int]] = []
    for t in 1..<max(n, 1) {
      var (next, origin) = ([Double](repeating: -.infinity, count: k), [Int](repeating: 0, count: k))
      for j in 0..<k {
        for i in 0..<k where isAllowed(i, j) && scores[i] + transitions[i * k + j] > next[j] {
          (next[j], origin[j]) = (scores[i] + transitions[i * k + j], i)
        }
        next[j] += Double(emissions[t][j])
      }
      scores = next
      origins.append(origin)
    }
    func best(_ values: [Double]) -> Int { values.indices.reduce(0) { values[$1] > values[$0] ? $1 : $0 } }
    var label = best(zip(scores, end).map { $0 + $1 })
    var labels = [Int32(label)]
    for origin in origins.reversed() {
      label = origin[label]
      labels.append(Int32(label))
    }
    return labels.reversed()
  }
}
