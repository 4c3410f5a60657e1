import Failures

/// The tokens of a corpus; a token's id is its index.
///
/// The order is part of the format: `char` in code-point order (as `sorted(set(text))` in Python), with `<unk>` before
/// them where there is one; `byte` by value, spelt `<0x00>` to `<0xFF>`; `word` with `<unk>` and `<eos>` first, then by
/// falling frequency in the train text, ties in code-point order.
package struct Vocabulary: Sendable {
  package let tokenizer: Tokenizer
  package let tokens: [String]
  /// The id of `<unk>`, or nil where every token of the text is in the vocabulary.
  package let unknown: Int32?
  /// The id of `<eos>`; only `word` has it.
  package let endOfSentence: Int32?

  /// The id of each scalar, for `char`.
  private let scalarIDs: [Unicode.Scalar: Int32]
  /// The id of each word, for `word`.
  let wordIDs: WordTable

  package var count: Int { tokens.count }

  /// - Throws: ``Failure`` (bad data) where `tokens` can't be a vocabulary of `tokenizer`: a stored file may say anything.
  package init(tokenizer: Tokenizer, tokens: [String]) throws {
    func malformed(_ what: String) -> Failure { Failure(.badData, "the \(tokenizer) vocabulary \(what)") }
    guard !tokens.isEmpty, tokens.count <= Int(Int32.max) else { throw malformed("has \(tokens.count) tokens") }

    var scalarIDs: [Unicode.Scalar: Int32] = [:]
    var wordIDs = WordTable()
    var specialIDs: [String: Int32] = [:]
    for (id, token) in zip(Int32(0)..., tokens) {
      switch tokenizer {
      case .byte:
        guard id < 256, token == Self.byteNames[Int(id)] else { throw malformed("has an unexpected token '\(token)'") }
      case .char:
        if token == SpecialToken.unknown {
          specialIDs[token] = id
        } else if let scalar = token.unicodeScalars.first, token.unicodeScalars.count == 1 {
          guard scalarIDs.updateValue(id, forKey: scalar) == nil else { throw malformed("has '\(token)' twice") }
        } else {
          throw malformed("has '\(token)', which is not one scalar")
        }
      case .word:
        if token == SpecialToken.unknown || token == SpecialToken.endOfSentence { specialIDs[token] = id }
        guard wordIDs.insertIfAbsent(token, value: Int(id)) else { throw malformed("has '\(token)' twice") }
      }
    }
    if tokenizer == .byte, tokens.count != 256 { throw malformed("has \(tokens.count) tokens, not 256") }
    if tokenizer == .word, specialIDs.count != 2 { throw malformed("lacks <unk> or <eos>") }

    (self.tokenizer, self.tokens, self.scalarIDs, self.wordIDs) = (tokenizer, tokens, scalarIDs, wordIDs)
    unknown = specialIDs[SpecialToken.unknown]
    endOfSentence = specialIDs[SpecialToken.endOfSentence]
  }

  /// The vocabulary of the byte tokenizer, the same for every text.
  package static let bytes: Vocabulary = {
    do {
      return try Vocabulary(tokenizer: .byte, tokens: byteNames)
    } catch {
      preconditionFailure("the byte vocabulary is malformed: \(error)")
    }
  }()

  private static let byteNames = (0..<256).map { value in
    let digits = String(value, radix: 16, uppercase: true)
    return "<0x\(digits.count == 1 ? "0" : "")\(digits)>"
  }

  func id(of scalar: Unicode.Scalar) -> Int32? { scalarIDs[scalar] }
}

extension Vocabulary {
  /// How this vocabulary, a model's, differs from a corpus's; nil where they are equal.
  func difference(from corpus: Vocabulary) -> String? {
    guard self != corpus else { return nil }
    var text = "\(count) \(tokenizer) tokens against the corpus's \(corpus.count)"
    guard tokenizer == corpus.tokenizer else { return "\(text) \(corpus.tokenizer) tokens" }
    let common = min(count, corpus.count)
    let first = (0..<common).first { !tokens[$0].utf8.elementsEqual(corpus.tokens[$0].utf8) } ?? common
    let (own, other) = (Self.quoted(tokens, first), Self.quoted(corpus.tokens, first))
    text += "; the first that differs, \(first), is \(own) against \(other)"
    return text
  }

  private static func quoted(_ tokens: [String], _ index: Int) -> String {
    guard tokens.indices.contains(index) else { return "none" }
    return tokens[index].prefix(40).debugDescription
  }
}

extension Vocabulary: Equatable {
  /// Equal by scalars: `String`'s `==` takes canonically equivalent tokens for the same.
  package static func == (left: Vocabulary, right: Vocabulary) -> Bool {
    left.tokenizer == right.tokenizer && left.count == right.count
      && zip(left.tokens, right.tokens).allSatisfy { $0.utf8.elementsEqual($1.utf8) }
  }
}
