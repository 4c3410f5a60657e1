import Failures

/// What happens to symbols that a vocabulary from elsewhere lacks.
package enum UnknownSymbols: String, Sendable, CaseIterable {
  /// They become `<unk>`.
  case replace
  /// The text is refused.
  case error
  /// They are left out.
  case drop
}

/// How an encoder treats what its vocabulary lacks, and how often that happened.
struct UnknownRule {
  enum Treatment: Equatable {
    case replace(Int32)
    case refuse
    case drop
    /// The vocabulary was made from this very text: only a text that has changed meanwhile has other symbols.
    case textChanged
  }

  let treatment: Treatment
  private(set) var count = 0

  init(_ treatment: Treatment) { self.treatment = treatment }

  /// The rule for a vocabulary that was made from the text itself.
  static func ownVocabulary(_ vocabulary: Vocabulary) -> UnknownRule {
    UnknownRule(vocabulary.unknown.map { .replace($0) } ?? .textChanged)
  }

  /// The id that stands for a symbol, or nil where it is left out.
  /// - Throws: ``Failure`` (bad data) where it is refused.
  mutating func id(of symbol: @autoclosure () -> String) throws -> Int32? {
    count += 1
    switch treatment {
    case .replace(let id): return id
    case .drop: return nil
    case .refuse:
      throw Failure(
        .badData, "\(symbol()) is not in the vocabulary",
        remedy: "leave such symbols out with '--unknown drop', or prepare texts and vocabulary together")
    case .textChanged:
      throw Failure(
        .badData, "the text changed while it was read",
        remedy: "run 'lockstep prepare' again when nothing writes to it")
    }
  }
}
