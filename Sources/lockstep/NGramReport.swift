import Checkpoints
import Failures
import Training

/// The `inspect` report on an n-gram model.
struct NGramReport: InspectionReport {
  private let kind = "n-gram model"
  private let formatVersion: Int
  private let digestOk = true
  private let order: Int
  /// The number of n-grams by length.
  private let ngrams: [Int]
  private let vocabularySize: Int
  private let tokenizer: String
  private let creator: String
  private let created: String
  private let path: String
  let damage: Failure? = nil

  init(_ file: NGramFile) {
    (path, formatVersion, creator, created) = (file.path, file.seal.formatVersion, file.creator, file.created)
    (order, ngrams) = (file.model.order, file.model.tables.map(\.tokens.count))
    (vocabularySize, tokenizer) = (file.vocabulary.count, file.vocabulary.tokenizer.rawValue)
  }

  private enum CodingKeys: CodingKey {
    case kind, formatVersion, digestOk, order, ngrams, vocabularySize, tokenizer, creator, created
  }

  var text: String {
    sheet(
      "\(path): n-gram model, intact",
      [
        ("format", "version \(formatVersion), written by \(creator), \(created)"),
        ("order", "\(order), interpolated modified Kneser-Ney"),
        ("n-grams", ngrams.map(grouped).joined(separator: ", ") + ", by length"),
        ("vocabulary", "\(grouped(vocabularySize)) tokens, \(tokenizer)"),
      ]
    ).joined(separator: "\n")
  }
}
