/// How the probabilities after one context are made from the counts there and from the next shorter context.
struct ContextWeight {
  /// The sum of the counts of the n-grams with this context; 0 where the context only ends the text.
  let total: Double
  /// The weight γ of the shorter context, that is, the share of ``total`` that the discounts take away.
  ///
  /// Chen & Goodman 1998, section 3.
  let backoff: Double

  /// Adds up the counts of all successors of a context.
  init(counts: some Sequence<Int32>, discounts: Discounts) {
    var total = 0
    var ones = 0
    var twos = 0
    var others = 0
    for count in counts {
      total += Int(count)
      switch count {
      case 1: ones += 1
      case 2: twos += 1
      default: others += 1
      }
    }
    let discounted =
      Double(ones) * discounts.one + Double(twos) * discounts.two + Double(others) * discounts.threeOrMore
    self.total = Double(total)
    backoff = total > 0 ? discounted / self.total : 1
  }

  /// The weights of all contexts of one length, by context id.
  static func all(in table: NGramTable, discounts: Discounts) -> [ContextWeight] {
    zip(table.starts, table.starts.dropFirst()).map { start, end in
      ContextWeight(counts: table.counts[Int(start)..<Int(end)], discounts: discounts)
    }
  }
}
