import Arena
import CKernels

/// Dropout of non-recurrent connections (Zaremba et al. 2014): each value is kept with probability 1 − p and scaled by
/// 1 / (1 − p), or set to zero.
///
/// The mask of a row is a function of seed, optimiser step, global stream, layer and time step. So it does not depend on
/// how streams are dealt to workers, a resumed run draws the same masks, and backward computes the mask again instead
/// of keeping it.
package struct Dropout: Sendable {
  package let probability: Double
  package let seed: UInt64

  package init(probability: Double, seed: UInt64) {
    precondition(probability >= 0 && probability < 1, "a dropout probability is in 0..<1")
    self.probability = probability
    self.seed = seed
  }

  package var isActive: Bool { probability > 0 }

  /// destination = mask ⊙ source, for the rows of a window; `source` may be `destination`.
  ///
  /// - Parameters:
  ///   - source: [T·B, H], time-major.
  ///   - streams: the global numbers of the B streams.
  ///   - layer: which connection: 0 is the embedding's output, l is the output of layer l.
  package func apply(
    _ source: MatrixView, into destination: MatrixView, streams: Range<Int>, layer: Int, step: Int,
    _ arithmetic: Arithmetic
  ) {
    let kernel = arithmetic.kernels.pointee.dropout
    let threshold = UInt32(probability * 0x1p32)
    let scale = Float(1 / (1 - probability))
    for row in 0..<source.rows {
      var key = ls_dropout_key(
        seed: seed, step: UInt64(step), stream: UInt32(streams.lowerBound + row % streams.count),
        layer: UInt32(layer), time: UInt32(row / streams.count))
      kernel(
        destination.pointer + row * destination.stride, source.pointer + row * source.stride, Int32(source.columns),
        threshold, scale, &key)
    }
  }

  /// The naive twin: one random word at a time.
  package func naive(
    _ source: MatrixView, into destination: MatrixView, streams: Range<Int>, layer: Int, step: Int
  ) {
    let blocks = (source.columns + 3) / 4
    for row in 0..<source.rows {
      let stream = UInt32(streams.lowerBound + row % streams.count)
      let time = UInt32(row / streams.count)
      for column in 0..<source.columns {
        let words = RandomStream.philox(
          (
            UInt32(column % blocks) &+ UInt32(layer & 0xff) << 24, UInt32(truncatingIfNeeded: step), stream,
            time ^ UInt32(truncatingIfNeeded: UInt64(step) >> 32) << 24
          ),
          key: (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32) ^ UInt32(layer >> 8)))
        let word = [words.0, words.1, words.2, words.3][column / blocks]
        let kept = word >= UInt32(probability * 0x1p32)
        destination[row, column] = kept ? source[row, column] * Float(1 / (1 - probability)) : 0
      }
    }
  }
}
