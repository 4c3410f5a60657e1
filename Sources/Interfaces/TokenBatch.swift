import Parameters
import Sharding

/// Token sequences side by side, one worker's: what recurrent models read, and the target of each position.
package protocol TokenBatch {
  /// Whether a sequence continues in the next batch, so that states are carried over; else each starts from zero.
  static var continues: Bool { get }

  /// The rows of the buffers; at most what they have room for.
  var layout: TimeMajorRows { get }
  /// By row: the token.
  var tokens: Buffer<Int32> { get }
  /// By row: the class of the position; −1 where it has none, which masks the row.
  var targets: Buffer<Int32> { get }
}

/// One window of token streams: the input of a language model. Targets are the next tokens.
package struct Window: TokenBatch {
  package static var continues: Bool { true }
  /// Shorter than the buffers at the end of an epoch.
  package var steps: Int
  package let sequences: Int
  package let tokens: Buffer<Int32>
  package let targets: Buffer<Int32>

  /// - Parameter steps: the longest window's.
  package init(steps: Int, streams: Int) {
    (self.steps, sequences) = (steps, streams)
    tokens = Buffer(repeating: 0, count: steps * streams)
    targets = Buffer(repeating: -1, count: steps * streams)
  }

  package var layout: TimeMajorRows { TimeMajorRows(steps: steps, sequences: sequences) }
}

/// Sentences: the input of a tagger. Targets are the tokens' labels.
package struct Sentences: TokenBatch {
  package static var continues: Bool { false }
  /// Where each sentence stands in the layout.
  package private(set) var order = SequenceOrder(lengths: [])
  package let tokens: Buffer<Int32>
  package let targets: Buffer<Int32>

  /// - Parameter capacity: the most positions.
  package init(capacity: Int) {
    tokens = Buffer(repeating: 0, count: capacity)
    targets = Buffer(repeating: -1, count: capacity)
  }

  package var layout: TimeMajorRows { order.layout }

  /// Fills the buffers with sentences of these lengths; `value` gives token and label by sentence and place.
  package mutating func fill(lengths: [Int], _ value: (_ sentence: Int, _ place: Int) -> (token: Int32, label: Int32)) {
    order = SequenceOrder(lengths: lengths)
    for (sentence, column) in order.columns.enumerated() {
      for place in 0..<lengths[sentence] {
        let row = layout.row(step: place, sequence: column)
        (tokens[row], targets[row]) = value(sentence, place)
      }
    }
  }
}
