import Sharding
import Testing

@Suite struct TimeMajorRowsTests {
  @Test(arguments: [[], [1], [3], [5, 5, 5], [7, 4, 4, 2, 1, 1], [9, 1]]) func rowsAndPositionsAreInverse(
    lengths: [Int]
  ) {
    let layout = TimeMajorRows(lengths: lengths)
    #expect(layout.count == lengths.reduce(0, +) && layout.steps == (lengths.first ?? 0))
    var next = 0
    for step in 0..<layout.steps {
      #expect(layout.rows(of: step).lowerBound == next)
      #expect(layout.rows(of: step).count == lengths.count { $0 > step })
      for sequence in 0..<layout.rows(of: step).count {
        #expect(layout.row(step: step, sequence: sequence) == next)
        let position = layout.position(of: next)
        #expect(position.step == step && position.sequence == sequence)
        next += 1
      }
    }
    #expect(next == layout.count)
  }

  @Test func sequencesOfOneLengthNeedNoList() {
    let (plain, listed) = (TimeMajorRows(steps: 4, sequences: 3), TimeMajorRows(lengths: [4, 4, 4]))
    #expect(plain.lengths == nil && plain.count == listed.count)
    for row in 0..<12 { #expect(plain.position(of: row) == listed.position(of: row)) }
    for step in 0..<4 { #expect(plain.rows(of: step) == listed.rows(of: step)) }
  }

  @Test func theOrderIsByFallingLengthAndStable() {
    let order = SequenceOrder(lengths: [2, 5, 2, 7, 5])
    #expect(order.sequences == [3, 1, 4, 0, 2] && order.columns == [3, 1, 4, 0, 2])
    #expect(order.layout.lengths == [7, 5, 5, 2, 2])
  }
}
