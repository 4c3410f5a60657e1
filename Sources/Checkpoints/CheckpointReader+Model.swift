import Corpus
import Failures
import Parameters

extension CheckpointReader {
  /// The vocabulary of the model's token ids.
  package func vocabulary() throws -> Vocabulary {
    guard let tokenizer = Tokenizer(rawValue: header.tokenizer) else {
      throw Failure(
        .badData, "unknown tokenizer '\(header.tokenizer)'", at: path,
        remedy: "open it with the version of lockstep that wrote it")
    }
    return try Vocabulary(tokenizer: tokenizer, tokens: header.vocabulary)
  }

  /// Fills all parameters of `store`, whose names and shapes must match the checkpoint's.
  package func readParameters(into store: ParameterStore) throws {
    for parameter in store.layout.parameters {
      try readParameter(parameter.name, shape: parameter.shape, into: store[parameter])
    }
  }
}
