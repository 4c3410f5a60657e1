import Kernels
import NumericSupport
import Parameters
import Sharding
import Testing

@Suite struct DropoutTests {
  private func keys(_ streams: Range<Int>, _ step: Int) -> [SequenceKey] {
    streams.map { SequenceKey(draw: UInt64(step), sequence: UInt32($0)) }
  }

  private func rows(of values: MatrixView, _ streams: Range<Int>) -> TimeMajorRows {
    TimeMajorRows(steps: values.rows / streams.count, sequences: streams.count)
  }

  @Test(arguments: [1, 2, 5, 7, 8, 16, 33, 63, 64, 65, 650]) func agreesWithTheNaiveTwin(columns: Int) throws {
    try withEachArithmetic { scratch, arithmetic in
      let dropout = Dropout(probability: 0.35, seed: 0x1234_5678_9abc_def0)
      let source = try scratch.uniform(6, columns, stride: columns + 1)
      for (layer, step) in [(0, 0), (3, 17), (255, (5 << 32) + 1), (256, 2), (1000, 0)] {
        let (found, expected) = (try scratch.zeros(6, columns, stride: columns + 2), try scratch.zeros(6, columns))
        dropout.apply(
          source, into: found, rows(of: found, 5..<8), keys: keys(5..<8, step), connection: layer, arithmetic)
        dropout.naive(source, into: expected, rows(of: expected, 5..<8), keys: keys(5..<8, step), connection: layer)
        #expect(found.bits == expected.bits && found.gapsAreUntouched)
        let inPlace = try scratch.copy(source)
        dropout.apply(
          inPlace, into: inPlace, rows(of: inPlace, 5..<8), keys: keys(5..<8, step), connection: layer, arithmetic)
        #expect(inPlace.bits == expected.bits)
      }
    }
  }

  @Test(arguments: [0.0, 0.1, 0.5, 0.9]) func keepsTheRightShareAndTheMean(probability: Double) throws {
    try withScratch { scratch in
      let ones = try scratch.zeros(200, 500)
      for i in 0..<(200 * 500) { ones.pointer[i] = 1 }
      Dropout(probability: probability, seed: 3).apply(
        ones, into: ones, rows(of: ones, 0..<20), keys: keys(0..<20, 2), connection: 1, .best)
      let kept = ones.values.filter { $0 != 0 }
      // Six standard deviations of a binomial share of 100 000.
      let spread = 6 * (probability * (1 - probability) / 1e5).squareRoot()
      #expect(abs(Double(kept.count) / 1e5 - (1 - probability)) <= spread)
      #expect(kept.allSatisfy { $0 == Float(1 / (1 - probability)) })
    }
  }

  @Test func aStreamsMaskDoesNotDependOnTheDealing() throws {
    try withScratch { scratch in
      let (steps, streams, size) = (4, 13, 33)
      let dropout = Dropout(probability: 0.5, seed: 3)
      let ones = try scratch.uniform(steps * streams, size)
      let whole = try scratch.zeros(steps * streams, size)
      dropout.apply(ones, into: whole, rows(of: whole, 0..<streams), keys: keys(0..<streams, 9), connection: 2, .best)
      for local in [0..<1, 3..<7, 5..<13] {
        let (part, expected) = (
          try scratch.zeros(steps * local.count, size), try scratch.zeros(steps * local.count, size)
        )
        for t in 0..<steps {
          let (from, to) = (
            (t * streams + local.lowerBound)..<(t * streams + local.upperBound),
            (t * local.count)..<((t + 1) * local.count)
          )
          part.rows(to).update(from: ones.rows(from))
          expected.rows(to).update(from: whole.rows(from))
        }
        dropout.apply(part, into: part, rows(of: part, local), keys: keys(local, 9), connection: 2, .best)
        #expect(part.bits == expected.bits)
      }
    }
  }

  @Test func everyPartOfTheKeyChangesTheMask() throws {
    try withScratch { scratch in
      func mask(seed: UInt64 = 1, stream: Int = 0, layer: Int = 0, step: Int = 0, row: Int = 0) throws -> [UInt32] {
        let values = try scratch.zeros(row + 1, 64)
        for i in 0..<(64 * (row + 1)) { values.pointer[i] = 1 }
        Dropout(probability: 0.5, seed: seed)
          .apply(
            values, into: values, rows(of: values, stream..<(stream + 1)), keys: keys(stream..<(stream + 1), step),
            connection: layer, .best)
        return values.rows(row..<(row + 1)).bits
      }
      let masks = [
        try mask(), try mask(seed: 2), try mask(seed: 1 << 32), try mask(stream: 1), try mask(layer: 1),
        try mask(layer: 256), try mask(layer: 512), try mask(step: 1), try mask(step: 1 << 32), try mask(row: 1),
      ]
      #expect(Set(masks).count == masks.count)
    }
  }

  @Test func allInstructionSetsDrawTheSameMask() throws {
    var masks: Set<[UInt32]> = []
    try withEachArithmetic { scratch, arithmetic in
      let values = try scratch.uniform(5, 77)
      Dropout(probability: 0.5, seed: 5).apply(
        values, into: values, rows(of: values, 0..<5), keys: keys(0..<5, 6), connection: 1, arithmetic)
      masks.insert(values.bits)
    }
    #expect(masks.count == 1)
  }
}
