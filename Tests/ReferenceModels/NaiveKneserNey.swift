/// The naive twin of ``NGramModel``: the same probabilities straight from the definitions, for tests.
///
/// It looks n-grams up in dictionaries by their tokens and adds up the counts after a context anew for every question,
/// in time proportional to the vocabulary.
package struct NaiveKneserNey {
  private let order: Int
  private let vocabularySize: Int
  /// How often each n-gram of `order` tokens occurs.
  private var occurrences: [[Int32]: Int] = [:]
  /// The tokens that precede each shorter n-gram; nil stands for the start of the text.
  private var leftContexts: [[Int32]: Set<Int32?>] = [:]
  /// D1, D2 and D3+ for each n-gram length.
  private var discounts: [Int: [Double]] = [:]

  /// Counts the n-grams of a text.
  ///
  /// - Parameters:
  ///   - text: token ids from 0 up to `vocabularySize`, at least one.
  ///   - order: the greatest n-gram length, at least 1.
  ///   - vocabularySize: the number of token ids.
  package init(training text: [Int32], order: Int, vocabularySize: Int) {
    self.order = order
    self.vocabularySize = vocabularySize
    for length in 1...order {
      for start in 0..<max(0, text.count - length + 1) {
        let gram = Array(text[start..<start + length])
        if length == order {
          occurrences[gram, default: 0] += 1
        } else {
          leftContexts[gram, default: []].insert(start > 0 ? text[start - 1] : nil)
        }
      }
    }
    for length in 1...order { discounts[length] = Self.discounts(of: counts(ofLength: length)) }
  }

  /// The probability of a token after a context, as ``NGramModel/probability(of:after:)``.
  ///
  /// - Parameters:
  ///   - token: a token id.
  ///   - context: the token ids before it, of which the last `order − 1` matter.
  package func probability(of token: Int32, after context: [Int32]) -> Double {
    interpolated(token, after: Array(context.suffix(order - 1)))
  }

  private func interpolated(_ token: Int32, after context: [Int32]) -> Double {
    let shorter =
      context.isEmpty ? 1 / Double(vocabularySize) : interpolated(token, after: Array(context.dropFirst()))
    let grams = (0..<Int32(vocabularySize)).map { context + [$0] }
    let total = Double(grams.map(count).reduce(0, +))
    if total == 0 { return shorter }
    let gram = context + [token]
    let gamma = grams.map(discount).reduce(0, +) / total
    return (Double(count(of: gram)) - discount(of: gram)) / total + gamma * shorter
  }

  /// The raw count of an n-gram of the full length; the number of distinct left contexts of a shorter one.
  private func count(of gram: [Int32]) -> Int {
    gram.count == order ? occurrences[gram] ?? 0 : leftContexts[gram]?.count ?? 0
  }

  private func discount(of gram: [Int32]) -> Double {
    let count = count(of: gram)
    return count == 0 ? 0 : discounts[gram.count]![min(count, 3) - 1]
  }

  private func counts(ofLength length: Int) -> [Int] {
    length == order
      ? Array(occurrences.values) : leftContexts.filter { $0.key.count == length }.map { $0.value.count }
  }

  /// Chen & Goodman 1998, equation (26), and what `lmplz --discount_fallback` takes where it gives nothing usable.
  private static func discounts(of counts: [Int]) -> [Double] {
    func n(_ count: Int) -> Double { Double(counts.filter { $0 == count }.count) }
    let y = n(1) / (n(1) + 2 * n(2))
    let discounts = [1 - 2 * y * n(2) / n(1), 2 - 3 * y * n(3) / n(2), 3 - 4 * y * n(4) / n(3)]
    // A count of counts of zero gives a quotient that is not a number or not finite.
    return discounts.allSatisfy { $0.isFinite && $0 > 0 } ? discounts : [0.5, 1, 1.5]
  }
}
