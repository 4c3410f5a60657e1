import Failures
import Foundation

/// The three parts of a corpus, in the order in which their tokens follow one another in the text.
package enum Split: String, Sendable, CaseIterable, Codable {
  case train, valid, test
}

/// What part of one text each split takes.
package struct SplitFractions: Sendable, Equatable {
  package let train: Double
  package let valid: Double
  package let test: Double

  package static let standard = SplitFractions(train: 0.9, valid: 0.05, test: 0.05)

  private init(train: Double, valid: Double, test: Double) {
    (self.train, self.valid, self.test) = (train, valid, test)
  }

  /// Reads three comma-separated fractions that add up to 1, such as `0.9,0.05,0.05`.
  ///
  /// - Throws: ``Failure`` (usage) that says which rule the text breaks.
  package init(parsing text: String) throws {
    let remedy = "give train, valid and test as in --split 0.9,0.05,0.05"
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    let fractions = parts.compactMap { Double($0) }
    guard parts.count == 3, fractions.count == 3, fractions.allSatisfy(\.isFinite) else {
      throw Failure(.usage, "'\(text)' is not three numbers", at: "--split", remedy: remedy)
    }
    guard fractions.allSatisfy({ $0 >= 0 }) else {
      throw Failure(.usage, "'\(text)' has a negative fraction", at: "--split", remedy: remedy)
    }
    let sum = fractions.reduce(0, +)
    guard abs(sum - 1) < 1e-6 else {
      let total = String(format: "%.6g", sum)
      throw Failure(.usage, "the fractions of '\(text)' add up to \(total), not to 1", at: "--split", remedy: remedy)
    }
    self.init(train: fractions[0], valid: fractions[1], test: fractions[2])
  }

  /// The number of tokens of each split of a text of `count` tokens.
  ///
  /// The cuts are at ⌊train · count⌋ and ⌊(train + valid) · count⌋ in Double arithmetic, which is what
  /// `int(f * len(text))` gives in the Python scripts whose curves people compare with.
  package func tokenCounts(of count: Int) -> [Int] {
    let first = valid == 0 && test == 0 ? count : min(Int(train * Double(count)), count)
    // A fraction of 0 means no split, whatever the sums of the others round to.
    let second =
      test == 0
      ? count : valid == 0 ? first : min(max(Int((train + valid) * Double(count)), first), count)
    return [first, second - first, count - second]
  }
}
