import Glibc

extension NGramModel {
  /// The natural logarithm of the probability of each token of a text but the first, given the tokens before it.
  ///
  /// Every token depends on the `order − 1` tokens before it, near the start of the text on as many as there are.
  ///
  /// - Parameter text: token ids.
  /// - Returns: the log-probability of `text[t + 1]` at index t; empty where the text has fewer than two tokens.
  /// - Throws: ``NGramError/invalidInput(_:)`` for a token outside the vocabulary.
  package func logProbabilities(of text: [Int32]) throws(NGramError) -> [Double] {
    try Self.checkTokens(of: text, vocabularySize: vocabularySize)
    guard let first = text.first else { return [] }
    var history = NGramHistory(of: self)
    _ = history.append(first)
    return text.dropFirst().map { log(history.append($0)) }
  }

  /// The probability of a token after a context. Over all tokens of the vocabulary it sums to 1.
  ///
  /// - Parameters:
  ///   - token: a token id; it must be in the vocabulary.
  ///   - context: the token ids before it, of which the last `order − 1` matter; may be empty.
  package func probability(of token: Int32, after context: some Collection<Int32>) -> Double {
    precondition(token >= 0 && Int(token) < vocabularySize, "token \(token) is outside the vocabulary")
    var history = NGramHistory(of: self)
    for token in context.suffix(order - 1) { _ = history.append(token) }
    return history.append(token)
  }
}

/// The last tokens of a text, as the model knows them.
struct NGramHistory {
  private let model: NGramModel
  /// The ids of the n-grams of 0 up to `order − 1` tokens that the text ends with; nil for those that are not in the
  /// model.
  private var ids: [Int32?]

  /// The history at the start of a text.
  init(of model: NGramModel) {
    self.model = model
    ids = [Int32?](repeating: nil, count: model.order)
    ids[0] = 0
  }

  /// Adds a token, and returns its probability given the tokens before it.
  mutating func append(_ token: Int32) -> Double {
    var probability = 1 / Double(model.vocabularySize)
    var endID: Int32? = 0
    for length in ids.indices {
      let context = ids[length]
      // The n-gram of one token more that ends with the new token was found in the round before.
      ids[length] = endID
      endID = nil
      guard let context else { continue }
      let weight = model.weights[length][Int(context)]
      guard weight.total > 0 else { continue }
      probability *= weight.backoff
      endID = model.tables[length].id(of: token, in: context)
      if let endID {
        let count = model.tables[length].counts[Int(endID)]
        probability += (Double(count) - model.discounts[length].discount(of: count)) / weight.total
      }
    }
    return probability
  }
}
