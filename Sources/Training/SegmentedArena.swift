import Optimizers

/// How the parameter arena is dealt to the workers: each owns a run of whole norm blocks, updates the weights in it and
/// keeps the optimiser's slots for it.
struct SegmentedArena: Sendable {
  /// One range of floats a worker, in order, covering the arena.
  let segments: [Range<Int>]

  /// - Parameter sparsePrefix: floats at the front that cost next to nothing, because few of them are touched in a step.
  ///   They go to the first worker besides its share of the others.
  init(count: Int, workers: Int, sparsePrefix: Int = 0) {
    let block = GradientNorm.block
    let first = sparsePrefix / block
    let blocks = GradientNorm.blocks(of: count) - first
    func start(of worker: Int) -> Int { worker == 0 ? 0 : min((first + worker * blocks / workers) * block, count) }
    segments = (0..<workers).map { start(of: $0)..<($0 + 1 == workers ? count : start(of: $0 + 1)) }
  }

  /// Norm blocks of a worker's segment.
  func blockCount(of worker: Int) -> Int { GradientNorm.blocks(of: segments[worker].count) }

  /// The part of each worker's segment that lies in `range`, counted from the start of `range`.
  func segments(within range: Range<Int>) -> [Range<Int>] {
    segments.map { segment in
      let part = segment.clamped(to: range)
      return (part.lowerBound - range.lowerBound)..<(part.upperBound - range.lowerBound)
    }
  }
}
