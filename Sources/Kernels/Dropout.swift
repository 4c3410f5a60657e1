import CKernels
import Parameters
import Sharding

/// Dropout of non-recurrent connections (Zaremba et al. 2014): each value is kept with probability 1 − p and scaled by
/// 1 / (1 − p), or set to zero.
///
/// The mask of a row is a function of the seed, the sequence's key, the connection and the time step. It does not depend
/// on how sequences are dealt to workers, a resumed run draws the same masks, and backward recomputes the mask instead of
/// keeping it.
package struct Dropout: Sendable {
  package let probability: Double
  package let seed: UInt64

  package init(probability: Double, seed: UInt64) {
    precondition(probability >= 0 && probability < 1, "a dropout probability is in 0..<1")
    (self.probability, self.seed) = (probability, seed)
  }

  /// destination = mask ⊙ source, for the rows of a batch; `source` may be `destination`.
  ///
  /// - Parameters:
  ///   - source: a row for each position, N columns.
  ///   - layout: of the rows.
  ///   - keys: one for each sequence.
  ///   - connection: 0 is the embedding's output, l is the output of layer l.
  package func apply(
    _ source: MatrixView, into destination: MatrixView, _ layout: TimeMajorRows, keys: [SequenceKey], connection: Int,
    _ arithmetic: Arithmetic
  ) {
    let kernel = arithmetic.kernels.pointee.dropout
    let threshold = UInt32(probability * 0x1p32)
    let scale = Float(1 / (1 - probability))
    for time in 0..<layout.steps {
      for (sequence, row) in layout.rows(of: time).enumerated() {
        var key = ls_dropout_key(
          seed: seed, step: keys[sequence].draw, stream: keys[sequence].sequence, layer: UInt32(connection),
          time: UInt32(time))
        kernel(
          destination.pointer + row * destination.stride, source.pointer + row * source.stride, Int32(source.columns),
          threshold, scale, &key)
      }
    }
  }

  /// The naive twin: one random word at a time.
  package func naive(
    _ source: MatrixView, into destination: MatrixView, _ layout: TimeMajorRows, keys: [SequenceKey], connection: Int
  ) {
    let blocks = (source.columns + 3) / 4
    for row in 0..<source.rows {
      let position = layout.position(of: row)
      let (key, time) = (keys[position.sequence], UInt32(position.step))
      for column in 0..<source.columns {
        let words = RandomStream.philox(
          (
            UInt32(column % blocks) &+ UInt32(connection & 0xff) << 24, UInt32(truncatingIfNeeded: key.draw),
            key.sequence, time ^ UInt32(truncatingIfNeeded: key.draw >> 32) << 24
          ),
          key: (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32) ^ UInt32(connection >> 8)))
        let word = [words.0, words.1, words.2, words.3][column / blocks]
        let kept = word >= UInt32(probability * 0x1p32)
        destination[row, column] = kept ? source[row, column] * Float(1 / (1 - probability)) : 0
      }
    }
  }
}

/// What identifies a sequence to the generator of random numbers, wherever it is computed.
package struct SequenceKey: Sendable, Equatable {
  /// Changes with each draw: the optimiser step of a token stream, the epoch of a sentence.
  package var draw: UInt64
  /// The number of the stream in the global batch, or of the sentence in its split.
  package var sequence: UInt32

  package init(draw: UInt64, sequence: UInt32) { (self.draw, self.sequence) = (draw, sequence) }
}
