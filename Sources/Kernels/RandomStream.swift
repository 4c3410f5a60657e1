/// Random numbers as a function of a seed and a place, not of a history: Philox4x32-10 (Salmon et al. 2011,
/// "Parallel random numbers: as easy as 1, 2, 3").
///
/// Whoever asks for the same place gets the same numbers, whatever was drawn before and on whichever worker. Dropout
/// uses the same function, vectorised, keyed by draw, sequence, connection and time step.
package struct RandomStream: Sendable {
  private let key: (UInt32, UInt32)
  private let stream: (UInt32, UInt32)
  private var block: UInt64 = 0
  private var words: (UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0)  // of the last block
  private var taken = 4

  /// - Parameters:
  ///   - seed: the run's seed.
  ///   - stream: which of the seed's independent sequences, for example a hash of a parameter's name.
  package init(seed: UInt64, stream: UInt64) {
    key = (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32))
    self.stream = (UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32))
  }

  /// The four random words at one counter.
  package static func philox(
    _ counter: (UInt32, UInt32, UInt32, UInt32), key: (UInt32, UInt32)
  ) -> (UInt32, UInt32, UInt32, UInt32) {
    var c = counter
    var k = key
    for _ in 0..<10 {
      let p0 = UInt64(c.0) * 0xD251_1F53
      let p1 = UInt64(c.2) * 0xCD9E_8D57
      c = (
        UInt32(truncatingIfNeeded: p1 >> 32) ^ c.1 ^ k.0, UInt32(truncatingIfNeeded: p1),
        UInt32(truncatingIfNeeded: p0 >> 32) ^ c.3 ^ k.1, UInt32(truncatingIfNeeded: p0)
      )
      k = (k.0 &+ 0x9E37_79B9, k.1 &+ 0xBB67_AE85)
    }
    return c
  }

  package mutating func nextWord() -> UInt32 {
    if taken == 4 {
      words = Self.philox(
        (UInt32(truncatingIfNeeded: block), UInt32(truncatingIfNeeded: block >> 32), stream.0, stream.1), key: key)
      block += 1
      taken = 0
    }
    taken += 1
    switch taken {
    case 1: return words.0
    case 2: return words.1
    case 3: return words.2
    default: return words.3
    }
  }

  /// Uniform in 0..<1, on a grid of 2^-53.
  package mutating func nextUnit() -> Double {
    let high = UInt64(nextWord())
    let low = UInt64(nextWord())
    return Double((high << 32 | low) >> 11) * 0x1p-53
  }
}
