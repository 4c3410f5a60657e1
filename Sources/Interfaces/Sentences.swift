import Parameters

/// Sentences of a batch, one worker's: the input of a tagger.
package struct Sentences {
  /// T, tokens of the longest sentence.
  package var steps = 0
  /// Tokens of each of the B sentences.
  package var lengths: [Int] = []
  /// [T, B] token ids, time-major; 0 after a sentence's end.
  package let tokens: Buffer<Int32>
  /// [T, B] labels; −1 after a sentence's end.
  package let labels: Buffer<Int32>

  /// - Parameter capacity: the most positions, T times B.
  package init(capacity: Int) {
    tokens = Buffer(repeating: 0, count: capacity)
    labels = Buffer(repeating: -1, count: capacity)
  }

  /// T·B
  package var rows: Int { steps * lengths.count }
}
