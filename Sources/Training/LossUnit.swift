import Corpus
import Foundation

/// The unit in which a tokeniser's losses are usually given.
package enum LossUnit: Sendable {
  case perplexity
  case bitsPerCharacter
  case bitsPerByte

  /// The unit of a corpus.
  package init(_ corpus: CorpusReader) {
    self.init(tokenizer: corpus.vocabulary.tokenizer.rawValue)
  }

  /// The unit of a tokeniser by name.
  package init(tokenizer: String) {
    switch tokenizer {
    case "char": self = .bitsPerCharacter
    case "byte": self = .bitsPerByte
    default: self = .perplexity
    }
  }

  /// A loss in nats per token, in this unit, with its name.
  package func text(_ nats: Double) -> String {
    switch self {
    case .perplexity: "perplexity \(fixed(exp(nats), 2))"
    case .bitsPerCharacter: "\(fixed(nats / log(2), 4)) bits/char"
    case .bitsPerByte: "\(fixed(nats / log(2), 4)) bits/byte"
    }
  }
}
