import Parameters

/// Token sequences side by side, one worker's: what recurrent models read, and the target of each position.
package protocol TokenBatch {
  /// Whether a sequence continues in the next batch, so that states are carried over; else each starts from zero.
  static var continues: Bool { get }

  /// T, time steps of the longest sequence; at most what the buffers have room for.
  var steps: Int { get }
  /// B
  var sequences: Int { get }
  /// Tokens of each sequence; nil where all have T.
  var lengths: [Int]? { get }
  /// [T, B] token ids, time-major; 0 after a sequence's end.
  var tokens: Buffer<Int32> { get }
  /// [T, B] the class of each position; −1 where it has none, which masks the row.
  var targets: Buffer<Int32> { get }
}

extension TokenBatch {
  /// T·B
  package var rows: Int { steps * sequences }
}

/// One window of token streams: the input of a language model. Targets are the next tokens.
package struct Window: TokenBatch {
  package static var continues: Bool { true }
  /// Shorter than the buffers at the end of an epoch.
  package var steps: Int
  package let sequences: Int
  package var lengths: [Int]? { nil }
  package let tokens: Buffer<Int32>
  package let targets: Buffer<Int32>

  /// - Parameter steps: the longest window's.
  package init(steps: Int, streams: Int) {
    (self.steps, sequences) = (steps, streams)
    tokens = Buffer(repeating: 0, count: steps * streams)
    targets = Buffer(repeating: -1, count: steps * streams)
  }
}

/// Sentences: the input of a tagger. Targets are the tokens' labels.
package struct Sentences: TokenBatch {
  package static var continues: Bool { false }
  package private(set) var steps = 0
  package private(set) var lengths: [Int]? = []
  package let tokens: Buffer<Int32>
  package let targets: Buffer<Int32>

  /// - Parameter capacity: the most positions, T times B.
  package init(capacity: Int) {
    tokens = Buffer(repeating: 0, count: capacity)
    targets = Buffer(repeating: -1, count: capacity)
  }

  package var sequences: Int { lengths?.count ?? 0 }

  /// Fills the buffers with sentences of these lengths; `value` gives token and label by sentence and place.
  package mutating func fill(lengths: [Int], _ value: (_ sentence: Int, _ place: Int) -> (token: Int32, label: Int32)) {
    (self.lengths, steps) = (lengths, lengths.max() ?? 0)
    for (column, length) in lengths.enumerated() {
      for t in 0..<steps {
        (tokens[t * lengths.count + column], targets[t * lengths.count + column]) =
          t < length ? value(column, t) : (0, -1)
      }
    }
  }
}
