import Optimizers

/// How the parameter arena is dealt to the workers: each owns a run of whole norm blocks, updates the weights in it and
/// keeps the optimiser's slots for it.
struct SegmentedArena: Sendable {
  /// One range of floats a worker, in order, covering the arena.
  let segments: [Range<Int>]

  init(count: Int, workers: Int) {
    let block = GradientNorm.block
    let blocks = (count + block - 1) / block
    segments = (0..<workers).map { worker in
      min(worker * blocks / workers * block, count)..<min((worker + 1) * blocks / workers * block, count)
    }
  }

  /// Norm blocks of a worker's segment.
  func blockCount(of worker: Int) -> Int { (segments[worker].count + GradientNorm.block - 1) / GradientNorm.block }

  /// The part of each worker's segment that lies in `range`, counted from the start of `range`.
  func segments(within range: Range<Int>) -> [Range<Int>] {
    segments.map { segment in
      let part = segment.clamped(to: range)
      return (part.lowerBound - range.lowerBound)..<(part.upperBound - range.lowerBound)
    }
  }
}
