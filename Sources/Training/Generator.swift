import Arena
import Corpus
import Failures
import Kernels
import Recurrent

/// Writes text with a trained model, one token at a time.
package final class Generator {
  private let model: LanguageModel
  private let vocabulary: Vocabulary
  private let window = Window(steps: 1, streams: 1)
  private var sampler: Sampler

  /// - Parameter weights: packed.
  package init(_ weights: ModelWeights, vocabulary: Vocabulary, sampler: Sampler) throws {
    self.vocabulary = vocabulary
    self.sampler = sampler
    model = try LanguageModel(weights, batch: LocalBatch(window: 1, streams: 1, shards: 1), training: false)
  }

  /// Feeds the prompt and then `length` tokens of the model's own, each handed to `emit` as it is drawn.
  ///
  /// An empty prompt stands for a beginning: the end-of-sentence token, a line feed, or the first token there is.
  /// - Parameter emit: gets the bytes of one token, with what separates it from the one before.
  /// - Throws: ``Failure`` where the prompt has tokens that the vocabulary lacks, or the output is not a number.
  package func generate(prompt: [Int32], length: Int, emit: ([UInt8]) throws -> Void) throws {
    model.resetStates()
    let start = prompt.isEmpty ? [beginning] : prompt
    for token in start.dropLast() { _ = try feed(token) }
    var last = start[start.count - 1]
    // Words are set apart by a space, except at the beginning of a line.
    let separates = vocabulary.tokenizer == .word
    var isAtLineStart = prompt.isEmpty || last == vocabulary.endOfSentence
    for _ in 0..<length {
      let logits = try feed(last)
      last = try sampler.next(UnsafeBufferPointer(start: logits.pointer, count: logits.columns))
      let endsLine = last == vocabulary.endOfSentence
      var bytes: [UInt8] = separates && !isAtLineStart && !endsLine ? [UInt8(ascii: " ")] : []
      vocabulary.appendBytes(of: last, to: &bytes)
      isAtLineStart = endsLine
      try emit(bytes)
    }
  }

  private func feed(_ token: Int32) throws -> MatrixView {
    window.inputs[0] = token
    return try model.lastLogits(window)
  }

  private var beginning: Int32 {
    if let end = vocabulary.endOfSentence { return end }
    return (try? vocabulary.encode("\n").first) ?? 0
  }
}
