import Kernels
import Testing

@Suite struct RandomStreamTests {
  /// Known answers of the authors' Random123 library.
  @Test func philoxGivesTheKnownAnswers() {
    let zero = RandomStream.philox((0, 0, 0, 0), key: (0, 0))
    #expect(zero == (0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8))
    let ones = RandomStream.philox((.max, .max, .max, .max), key: (.max, .max))
    #expect(ones == (0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd))
    let pi = RandomStream.philox(
      (0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344), key: (0xa409_3822, 0x299f_31d0))
    #expect(pi == (0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1))
  }

  @Test func wordsComeBlockByBlock() {
    var random = RandomStream(seed: 7, stream: 3 + (9 << 32))
    let words = (0..<6).map { _ in random.nextWord() }
    let (first, second) = (
      RandomStream.philox((0, 0, 3, 9), key: (7, 0)), RandomStream.philox((1, 0, 3, 9), key: (7, 0))
    )
    #expect(words == [first.0, first.1, first.2, first.3, second.0, second.1])
  }

  @Test func unitsAreUniform() {
    var random = RandomStream(seed: 1, stream: 0)
    var counts = [Int](repeating: 0, count: 10)
    var sum = 0.0
    for _ in 0..<100_000 {
      let unit = random.nextUnit()
      counts[Int(unit * 10)] += 1
      sum += unit
    }
    #expect(counts.allSatisfy { abs($0 - 10_000) < 600 })
    #expect(abs(sum / 100_000 - 0.5) < 0.006)
  }

  @Test func seedsAndStreamsAreIndependent() {
    func first(_ seed: UInt64, _ stream: UInt64) -> [UInt32] {
      var random = RandomStream(seed: seed, stream: stream)
      return (0..<4).map { _ in random.nextWord() }
    }
    #expect(first(1, 2) == first(1, 2))
    #expect(Set([first(1, 2), first(2, 1), first(1, 2 << 32), first(1 << 32, 2)]).count == 4)
  }
}
