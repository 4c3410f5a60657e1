import Corpus
import Files
import Foundation
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
  /// The task's measures; nil for those it does not have.
  let accuracy: Double?
  let precision: Double?
  let recall: Double?
  let f1: Double?
  /// The format of the numbers in matrix products, f32 or bf16; nil for an n-gram model.
  let computedIn: String?
  /// The order of an n-gram model that `baseline` trained.
  let order: Int?

  init(
    checkpoint: String?, corpus: String, _ split: Split, _ result: Evaluation, computedIn format: Precision? = nil,
    order: Int? = nil
  ) {
    (self.checkpoint, self.corpus, self.split) = (checkpoint, corpus, split.rawValue)
    (tokens, natsPerToken) = (result.tokens, result.natsPerToken)
    (perplexity, bitsPerToken) = (result.perplexity, result.bitsPerToken)
    (accuracy, precision) = (result.scores.accuracy, result.scores.precision)
    (recall, f1) = (result.scores.recall, result.scores.f1)
    (computedIn, self.order) = (format?.rawValue, order)
  }

  func show(json: Bool) throws {
    if json { return try printJSON(self) }
    let model = checkpoint ?? "\(order.map { "\($0)-gram" } ?? "a") model"
    let note = computedIn == Precision.bf16.rawValue ? ", bf16" : ""
    try StandardOutput.print("\(model) on \(corpus), \(split) split\(note):")
    try StandardOutput.print("  tokens          \(grouped(tokens))")
    try StandardOutput.print("  nats per token  \(fixed(natsPerToken, 4))")
    try StandardOutput.print("  perplexity      \(fixed(perplexity, 3))")
    try StandardOutput.print("  bits per token  \(fixed(bitsPerToken, 4))")
    for (name, score) in [("accuracy", accuracy), ("precision", precision), ("recall", recall), ("F1", f1)] {
      guard let score else { continue }
      let label = name.padding(toLength: 16, withPad: " ", startingAt: 0)
      try StandardOutput.print("  \(label)\(fixed(100 * score, 2)) %")
    }
  }
}
