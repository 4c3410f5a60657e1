import Corpus
import Failures
import Interfaces
import Kernels
import Parameters

/// Generates text with a trained model, one token at a time.
package final class Generator {
  private let decoder: any StepDecoder
  private let vocabulary: Vocabulary
  private var sampler: Sampler

  package init(_ decoder: any StepDecoder, vocabulary: Vocabulary, sampler: Sampler) {
    (self.decoder, self.vocabulary, self.sampler) = (decoder, vocabulary, sampler)
  }

  /// Reads the prompt, then generates `length` tokens and passes each to `emit` as it is drawn.
  ///
  /// An empty prompt is replaced by the end-of-sentence token, a line feed, or the first token of the vocabulary.
  /// - Parameter emit: called with the bytes of a token, including the separator before it.
  /// - Throws: ``Failure`` if the model's output is not finite, and what `emit` throws.
  package func generate(prompt: [Int32], length: Int, emit: ([UInt8]) throws -> Void) throws {
    decoder.resetStates()
    let start = prompt.isEmpty ? [beginning] : prompt
    for token in start.dropLast() { _ = try decoder.advance([token]) }
    var last = start[start.count - 1]
    // Words are separated by a space, except at the beginning of a line.
    let separates = vocabulary.tokenizer == .word
    var isAtLineStart = prompt.isEmpty || last == vocabulary.endOfSentence
    for _ in 0..<length {
      let logits = try decoder.advance([last])
      last = try sampler.next(UnsafeBufferPointer(start: logits.pointer, count: logits.columns))
      let endsLine = last == vocabulary.endOfSentence
      var bytes: [UInt8] = separates && !isAtLineStart && !endsLine ? [UInt8(ascii: " ")] : []
      vocabulary.appendBytes(of: last, to: &bytes)
      isAtLineStart = endsLine
      try emit(bytes)
    }
  }

  private var beginning: Int32 {
    if let end = vocabulary.endOfSentence { return end }
    return (try? vocabulary.encode("\n").first) ?? 0
  }
}
