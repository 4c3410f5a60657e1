/// The n-grams of one length and their counts, grouped by context.
///
/// The id of an n-gram is its index in ``tokens``. The context of an n-gram, which is all of it but the last token, is
/// an n-gram of the table before and has its id there; the context of a unigram is empty and has the id 0. The tables
/// of the lengths 1, 2, … so form a trie.
package struct NGramTable: Equatable, Sendable {
  /// Where the n-grams of each context begin, and last the number of n-grams: one entry more than there are contexts.
  package var starts: [Int32]
  /// The last token of each n-gram; strictly ascending among the n-grams of one context.
  package var tokens: [Int32]
  /// The count of each n-gram, at least 1.
  ///
  /// In the table of the model's order it is how often the n-gram occurs; in the others, by how many distinct tokens it
  /// is preceded, with the start of the text counted as one more.
  package var counts: [Int32]

  /// Takes arrays as they are; ``NGramModel/init(vocabularySize:tables:)`` checks them.
  package init(starts: [Int32], tokens: [Int32], counts: [Int32]) {
    (self.starts, self.tokens, self.counts) = (starts, tokens, counts)
  }

  /// The ids of the n-grams with this context.
  func ids(in context: Int32) -> Range<Int32> {
    let context = Int(context)
    return starts[context]..<starts[context + 1]
  }

  /// The id of the n-gram with this context and last token, or nil where there is none.
  func id(of token: Int32, in context: Int32) -> Int32? {
    let ids = ids(in: context)
    var low = Int(ids.lowerBound)
    var high = Int(ids.upperBound)
    while low < high {
      let middle = (low + high) / 2
      if tokens[middle] < token { low = middle + 1 } else { high = middle }
    }
    return low < Int(ids.upperBound) && tokens[low] == token ? Int32(low) : nil
  }
}

extension NGramTable {
  /// Checks everything that lookups rely on.
  ///
  /// - Throws: ``NGramError/malformedModel(_:)``.
  func validate(contextCount: Int, vocabularySize: Int) throws(NGramError) {
    guard counts.count == tokens.count, tokens.count < Int(Int32.max) else {
      throw .malformedModel("\(counts.count) counts for \(tokens.count) n-grams")
    }
    guard starts.count == contextCount + 1 else {
      throw .malformedModel("\(starts.count) starts for \(contextCount) contexts, not one more")
    }
    guard starts.first == 0, starts.last == Int32(tokens.count) else {
      throw .malformedModel("the starts do not reach from 0 to the \(tokens.count) n-grams")
    }
    // All of them, before any is used as an index.
    guard zip(starts, starts.dropFirst()).allSatisfy({ $0 <= $1 }) else {
      throw .malformedModel("the starts descend")
    }
    guard counts.allSatisfy({ $0 >= 1 }) else { throw .malformedModel("a count is below 1") }
    guard tokens.allSatisfy({ $0 >= 0 && Int($0) < vocabularySize }) else {
      throw .malformedModel("a token is outside the vocabulary of \(vocabularySize)")
    }
    for context in 0..<contextCount {
      let successors = tokens[Int(starts[context])..<Int(starts[context + 1])]
      guard zip(successors, successors.dropFirst()).allSatisfy({ $0 < $1 }) else {
        throw .malformedModel("the tokens after a context do not ascend")
      }
    }
  }
}
