extension NGramModel {
  /// Counts the n-grams of a text.
  ///
  /// The count of an n-gram shorter than the order is its number of distinct left contexts. Where the text begins there
  /// is no token on the left; its start counts as one more left context there, as `<s>` does in KenLM's `lmplz` for a
  /// text of one line. So every n-gram of the text has a count of at least 1.
  ///
  /// Time is proportional to `order · text.count`, memory to the number of distinct n-grams.
  ///
  /// - Parameters:
  ///   - text: token ids, at least one.
  ///   - order: the greatest n-gram length, one of ``orders``.
  ///   - vocabularySize: the number of token ids, whether they occur in the text or not.
  /// - Throws: ``NGramError/invalidInput(_:)``.
  package init(training text: [Int32], order: Int, vocabularySize: Int) throws(NGramError) {
    guard Self.orders.contains(order) else {
      throw .invalidInput("the order \(order) is not \(Self.orders.lowerBound) to \(Self.orders.upperBound)")
    }
    guard vocabularySize > 0, vocabularySize <= Int(Int32.max) else {
      throw .invalidInput("a vocabulary of \(vocabularySize) tokens")
    }
    guard !text.isEmpty, text.count < Int(Int32.max) else {
      throw .invalidInput("a training text of \(text.count) tokens")
    }
    try Self.checkTokens(of: text, vocabularySize: vocabularySize)
    var counter = NGramCounter(text, vocabularySize: vocabularySize)
    for _ in 0..<order { counter.countNextLength() }
    self.init(validVocabularySize: vocabularySize, tables: counter.tables)
  }

  /// - Throws: ``NGramError/invalidInput(_:)`` that names the first token outside the vocabulary.
  static func checkTokens(of text: [Int32], vocabularySize: Int) throws(NGramError) {
    guard let position = text.firstIndex(where: { $0 < 0 || Int($0) >= vocabularySize }) else { return }
    throw .invalidInput(
      "token \(text[position]) at position \(position) is outside the vocabulary of \(vocabularySize)")
  }
}
