/// An n-gram language model with interpolated modified Kneser-Ney smoothing (Chen & Goodman 1998, section 3).
///
/// The text is one stream of token ids: `<unk>` and `<eos>` are tokens like all others, and contexts reach across
/// `<eos>`. With c(hw) the count of a token w after a context h, D its discount and h′ the context without its first
/// token,
///
///     p(w | h) = (c(hw) − D(c(hw))) / Σ c(h·) + γ(h) p(w | h′),
///
/// p(w | h) = p(w | h′) where h never had a successor, and the empty context is interpolated with the uniform
/// distribution over the vocabulary.
///
/// The integers in ``tables`` and ``vocabularySize`` are the whole model; discounts and weights follow from them.
package struct NGramModel: Sendable {
  /// The orders that a model may have.
  package static let orders = 1...5

  /// The number of token ids, which are 0 up to this.
  package let vocabularySize: Int
  /// The n-grams of each length: `tables[k]` has those of k + 1 tokens.
  package let tables: [NGramTable]
  /// The discounts of each length, in the order of ``tables``.
  package let discounts: [Discounts]
  /// The weights of the contexts of k tokens, by context id, for each k from 0.
  let weights: [[ContextWeight]]

  /// The greatest number of tokens in an n-gram: each token depends on `order − 1` tokens before it.
  package var order: Int { tables.count }

  /// The n-gram lengths whose counts gave no usable discounts, so that they have the fixed ones.
  package var fallbackLengths: [Int] { discounts.indices.filter { discounts[$0].isFallback }.map { $0 + 1 } }

  /// Makes a model from its stored form.
  ///
  /// - Parameters:
  ///   - vocabularySize: the number of token ids.
  ///   - tables: the n-grams of 1, 2, … tokens, as in ``tables``.
  /// - Throws: ``NGramError/malformedModel(_:)`` where the arrays contradict each other; any content is safe to pass.
  package init(vocabularySize: Int, tables: [NGramTable]) throws(NGramError) {
    try Self.validate(vocabularySize: vocabularySize, tables: tables)
    self.init(validVocabularySize: vocabularySize, tables: tables)
  }

  /// Makes a model from tables that are known to be valid.
  init(validVocabularySize vocabularySize: Int, tables: [NGramTable]) {
    (self.vocabularySize, self.tables) = (vocabularySize, tables)
    discounts = tables.map { Discounts(of: $0.counts) }
    weights = zip(tables, discounts).map { ContextWeight.all(in: $0, discounts: $1) }
  }

  private static func validate(vocabularySize: Int, tables: [NGramTable]) throws(NGramError) {
    guard orders.contains(tables.count) else {
      throw .malformedModel("\(tables.count) tables, not \(orders.lowerBound) to \(orders.upperBound)")
    }
    guard vocabularySize > 0, vocabularySize <= Int(Int32.max) else {
      throw .malformedModel("a vocabulary of \(vocabularySize) tokens")
    }
    // There is one context of no tokens.
    var contextCount = 1
    for (index, table) in tables.enumerated() {
      do {
        try table.validate(contextCount: contextCount, vocabularySize: vocabularySize)
      } catch {
        throw .malformedModel("n-grams of length \(index + 1): \(error)")
      }
      contextCount = table.tokens.count
    }
    if tables[0].tokens.isEmpty { throw .malformedModel("no unigrams") }
  }
}
