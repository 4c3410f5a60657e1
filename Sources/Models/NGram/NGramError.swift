/// Why there is no n-gram model, or no answer from it.
package enum NGramError: Error, Equatable, CustomStringConvertible {
  /// A text, an order or a vocabulary size that cannot be used.
  case invalidInput(String)
  /// Stored arrays that do not describe a model.
  case malformedModel(String)

  /// What is wrong, without a full stop.
  package var description: String {
    switch self {
    case .invalidInput(let message), .malformedModel(let message): message
    }
  }
}
