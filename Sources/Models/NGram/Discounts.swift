/// What modified Kneser-Ney smoothing takes away from the counts of the n-grams of one length.
///
/// Chen & Goodman 1998, equation (26).
package struct Discounts: Equatable, Sendable {
  /// The discount D1 of n-grams with the count 1.
  package let one: Double
  /// The discount D2 of n-grams with the count 2.
  package let two: Double
  /// The discount D3+ of n-grams with greater counts.
  package let threeOrMore: Double
  /// Whether the counts gave no usable discounts, so that these are the fixed ones, 0.5, 1 and 1.5.
  package let isFallback: Bool

  /// The discounts that KenLM's `lmplz --discount_fallback` takes where the counts give none.
  private static let fallback = Discounts(one: 0.5, two: 1, threeOrMore: 1.5, isFallback: true)

  private init(one: Double, two: Double, threeOrMore: Double, isFallback: Bool) {
    (self.one, self.two, self.threeOrMore, self.isFallback) = (one, two, threeOrMore, isFallback)
  }

  /// Estimates the discounts from the counts of all n-grams of one length, or falls back to fixed ones.
  init(of counts: [Int32]) {
    var countsOfCounts = [0, 0, 0, 0, 0]
    for count in counts where (1...4).contains(count) { countsOfCounts[Int(count)] += 1 }
    self = Discounts.estimated(countsOfCounts.map(Double.init)) ?? .fallback
  }

  /// The discounts by the formula, or nil where one is not defined or not usable.
  ///
  /// - Parameter countsOfCounts: how many n-grams have the count k, for k from 0 to 4.
  private static func estimated(_ countsOfCounts: [Double]) -> Discounts? {
    let n = countsOfCounts
    guard n[1] > 0, n[2] > 0, n[3] > 0 else { return nil }
    let y = n[1] / (n[1] + 2 * n[2])
    let discounts = (1...3).map { Double($0) - Double($0 + 1) * y * n[$0 + 1] / n[$0] }
    // A discount of zero would leave nothing for the tokens that never followed a context. None can exceed its count.
    guard discounts.allSatisfy({ $0 > 0 }) else { return nil }
    return Discounts(one: discounts[0], two: discounts[1], threeOrMore: discounts[2], isFallback: false)
  }

  /// The discount of n-grams with a count of at least 1.
  func discount(of count: Int32) -> Double {
    switch count {
    case 1: one
    case 2: two
    default: threeOrMore
    }
  }
}
