import Parameters
import Sharding
import Testing

@Suite struct OwnershipTests {
  private static let block = Ownership.block

  private func layout(_ counts: [Int]) -> ParameterLayout {
    var layout = ParameterLayout()
    for (index, count) in counts.enumerated() { _ = layout.declare("p\(index)", [count], .bias) }
    return layout
  }

  @Test(arguments: 1...7) func segmentsCoverTheArenaInWholeBlocks(workers: Int) {
    for counts in [[1], [Self.block], [Self.block + 1, 7], [5 * Self.block + 100, 3, 2 * Self.block]] {
      let layout = layout(counts)
      let ownership = Ownership(layout, workers: workers)
      #expect(ownership.segments.count == workers)
      #expect(ownership.segments.reduce(0) { $0 + $1.count } == layout.count)
      for (segment, next) in zip(ownership.segments, ownership.segments.dropFirst()) {
        #expect(segment.upperBound == next.lowerBound)
        #expect(next.isEmpty || next.lowerBound % Self.block == 0)
      }
      let blocks = (0..<workers).map { ownership.blocks(of: $0).count }
      #expect(blocks.reduce(0, +) == Ownership.blocks(of: layout.count))
      #expect((blocks.max() ?? 0) - (blocks.min() ?? 0) <= 1)
    }
  }

  @Test func lightParametersAreNoWork() {
    let layout = layout([10 * Self.block, 4 * Self.block])
    let even = Ownership(layout, workers: 2)
    #expect(even.blocks(of: 0).count == 7)
    let light = Ownership(layout, workers: 2, light: [layout.parameters[0]])
    #expect(light.blocks(of: 0).count == 12 && light.blocks(of: 1).count == 2)
    #expect(light.parts(of: layout.parameters[1]) == [0..<(2 * Self.block), (2 * Self.block)..<(4 * Self.block)])
  }
}
