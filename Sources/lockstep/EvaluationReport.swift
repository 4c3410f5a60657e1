import Corpus
import Files
import Kernels
import Training

/// The output of `evaluate` and `baseline`.
struct EvaluationReport: Encodable {
  let checkpoint: String?
  let corpus: String
  let split: String
  let tokens: Int
  let natsPerToken: Double
  let perplexity: Double
  let bitsPerToken: Double
  /// A tagger's fraction of correct labels; nil for other models.
  let accuracy: Double?
  /// The precision of matrix products; nil for an n-gram model.
  let precision: String?
  /// The order of an n-gram model that `baseline` trained.
  let order: Int?

  init(
    checkpoint: String?, corpus: String, _ split: Split, _ result: Evaluation, precision: Precision? = nil,
    order: Int? = nil
  ) {
    (self.checkpoint, self.corpus, self.split) = (checkpoint, corpus, split.rawValue)
    (tokens, natsPerToken) = (result.tokens, result.natsPerToken)
    (perplexity, bitsPerToken) = (result.perplexity, result.bitsPerToken)
    accuracy = result.accuracy
    (self.precision, self.order) = (precision?.rawValue, order)
  }

  func show(json: Bool) throws {
    if json { return try printJSON(self) }
    let model = checkpoint ?? "\(order.map { "\($0)-gram" } ?? "a") model"
    let note = precision == Precision.bf16.rawValue ? ", bf16" : ""
    try StandardOutput.print("\(model) on \(corpus), \(split) split\(note):")
    try StandardOutput.print("  tokens          \(grouped(tokens))")
    try StandardOutput.print("  nats per token  \(fixed(natsPerToken, 4))")
    try StandardOutput.print("  perplexity      \(fixed(perplexity, 3))")
    try StandardOutput.print("  bits per token  \(fixed(bitsPerToken, 4))")
    if let accuracy { try StandardOutput.print("  accuracy        \(fixed(100 * accuracy, 2)) %") }
  }
}
