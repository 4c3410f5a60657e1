import Corpus
import Foundation

/// The customary unit of losses for a tokeniser.
package enum LossUnit: Sendable {
  case perplexity
  case bitsPerCharacter
  case bitsPerByte

  /// The unit for a corpus.
  package init(_ corpus: CorpusReader) {
    self.init(tokenizer: corpus.vocabulary.tokenizer.rawValue)
  }

  /// The unit for a tokeniser, by name.
  package init(tokenizer: String) {
    switch tokenizer {
    case "char": self = .bitsPerCharacter
    case "byte": self = .bitsPerByte
    default: self = .perplexity
    }
  }

  /// Formats a loss, given in nats per token, in this unit.
  package func text(_ nats: Double) -> String {
    switch self {
    case .perplexity: "perplexity \(fixed(exp(nats), 2))"
    case .bitsPerCharacter: "\(fixed(nats / log(2), 4)) bits/char"
    case .bitsPerByte: "\(fixed(nats / log(2), 4)) bits/byte"
    }
  }
}
