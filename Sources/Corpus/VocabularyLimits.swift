import Failures

/// Which of the counted tokens enter a vocabulary.
package struct VocabularyLimits: Sendable, Equatable {
  /// The largest size, special tokens included; nil for no limit.
  package let size: Int?
  /// Tokens that occur less often are left out.
  package let minimumCount: Int

  package static let none = VocabularyLimits(size: nil, minimumCount: 1)

  private init(size: Int?, minimumCount: Int) {
    (self.size, self.minimumCount) = (size, minimumCount)
  }

  /// - Throws: ``Failure`` (usage) where the numbers make no vocabulary for `tokenizer`.
  package init(size: Int?, minimumCount: Int?, for tokenizer: Tokenizer) throws {
    if tokenizer == .byte, size != nil || minimumCount != nil {
      throw Failure(
        .usage, "the byte tokenizer always has 256 tokens", at: size != nil ? "--vocabulary-size" : "--min-count",
        remedy: "leave the option out")
    }
    if let minimumCount, minimumCount < 1 {
      throw Failure(.usage, "\(minimumCount) is below 1", at: "--min-count")
    }
    if let size {
      let smallest = tokenizer == .word ? 3 : 2
      let reason = tokenizer == .word ? "<unk>, <eos> and one word" : "<unk> and one character"
      guard size >= smallest else {
        throw Failure(
          .usage, "\(size) is too small for the \(tokenizer) tokenizer", at: "--vocabulary-size",
          remedy: "give at least \(smallest), for \(reason)")
      }
      guard size <= Int(Int32.max) else {
        throw Failure(.usage, "\(size) ids do not fit 32 bits", at: "--vocabulary-size")
      }
    }
    self.init(size: size, minimumCount: minimumCount ?? 1)
  }
}

extension Vocabulary {
  /// The vocabulary of counted scalars: in code-point order, `<unk>` before them where the limits leave any out.
  static func chars(counted: ScalarCounter, limits: VocabularyLimits) throws -> Vocabulary {
    let counts = counted.counts
    let found = counted.found.sorted()
    var kept = found.filter { counts[$0] >= limits.minimumCount }
    if let size = limits.size, kept.count + (kept.count < found.count ? 1 : 0) > size {
      kept.sort { counts[$0] != counts[$1] ? counts[$0] > counts[$1] : $0 < $1 }
      kept.removeLast(kept.count - (size - 1))
      kept.sort()
    }
    guard !kept.isEmpty else { throw nothingKept("character", limits) }
    var tokens = kept.count < found.count ? [SpecialToken.unknown] : []
    tokens += kept.lazy.compactMap { Unicode.Scalar(UInt32($0)).map { String(Character($0)) } }
    return try Vocabulary(tokenizer: .char, tokens: tokens)
  }

  /// The vocabulary of counted words: `<unk>`, `<eos>`, then by falling count, ties in code-point order.
  static func words(counts: WordTable, limits: VocabularyLimits) throws -> Vocabulary {
    let special = [SpecialToken.unknown, SpecialToken.endOfSentence]
    let specialBytes = special.map { Array($0.utf8) }
    var kept = (0..<counts.count).filter { index in
      counts.value(at: index) >= limits.minimumCount
        && !specialBytes.contains { $0.elementsEqual(counts.bytes(at: index)) }
    }
    guard !kept.isEmpty else { throw nothingKept("word", limits) }
    kept.sort { left, right in
      let leftCount = counts.value(at: left)
      let rightCount = counts.value(at: right)
      if leftCount != rightCount { return leftCount > rightCount }
      return precedesInCodePointOrder(counts.bytes(at: left), counts.bytes(at: right))
    }
    let room = (limits.size ?? Int(Int32.max)) - special.count
    let words = kept.prefix(room).map { String(decoding: counts.bytes(at: $0), as: UTF8.self) }
    return try Vocabulary(tokenizer: .word, tokens: special + words)
  }

  private static func nothingKept(_ noun: String, _ limits: VocabularyLimits) -> Failure {
    limits.minimumCount > 1
      ? Failure(.badData, "no \(noun) occurs \(limits.minimumCount) times", remedy: "lower --min-count")
      : Failure(.badData, "the train text holds no \(noun)")
  }
}
