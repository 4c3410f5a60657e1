import Parameters

/// Which worker updates which part of the parameter arena: a run of whole norm blocks each, in order. It keeps the
/// optimiser's slots for it.
package struct Ownership: Sendable, Equatable {
  /// Floats whose squares are summed as one block. Workers' segments start on block boundaries, so the sums of blocks
  /// are the same whoever computes them, and added up in order they give every worker the same norm.
  package static let block = 1 << 14

  /// One range of the arena for each worker, in order, covering it.
  package let segments: [Range<Int>]

  /// - Parameter light: parameters of which a step touches few rows, so that they cost next to nothing.
  package init(_ layout: ParameterLayout, workers: Int, light: [Parameter] = []) {
    let count = layout.count
    let heavy = (0..<Self.blocks(of: count)).filter { index in
      let block = (index * Self.block)..<min((index + 1) * Self.block, count)
      return !light.contains { $0.range.lowerBound <= block.lowerBound && block.upperBound <= $0.range.upperBound }
    }
    func start(of worker: Int) -> Int {
      if worker == 0 { return 0 }
      let index = worker * heavy.count / workers
      return index < heavy.count ? heavy[index] * Self.block : count
    }
    segments = (0..<workers).map { start(of: $0)..<($0 + 1 == workers ? count : max(start(of: $0), start(of: $0 + 1))) }
  }

  /// Blocks of `count` floats; the last one may be short.
  package static func blocks(of count: Int) -> Int { (count + block - 1) / block }

  /// The norm blocks that a worker owns.
  package func blocks(of rank: Int) -> Range<Int> {
    let segment = segments[rank]
    if segment.isEmpty { return 0..<0 }
    return (segment.lowerBound / Self.block)..<Self.blocks(of: segment.upperBound)
  }

  /// The part of a parameter that each worker owns, counted from the parameter's first float.
  package func parts(of parameter: Parameter) -> [Range<Int>] {
    segments.map { segment in
      let part = segment.clamped(to: parameter.range)
      return (part.lowerBound - parameter.offset)..<(part.upperBound - parameter.offset)
    }
  }
}
