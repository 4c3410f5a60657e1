import Failures

/// The windows of a worker's share of the token streams.
///
/// Of the global batch's streams only those in `local` are read, ahead of need, in blocks of at most b tokens per stream.
/// Memory: 2 · local · (b + 1) · 4 bytes, 32 MiB for up to 128 local streams, whatever the length of the corpus. Used by
/// one thread at a time.
package final class TokenStreams {
  package let layout: StreamLayout
  /// The streams of the global batch that this object reads.
  package let local: Range<Int>

  private let windowsPerBlock: Int
  private let stride: Int  // tokens of a stream in a block: one more than its steps, for the last target
  private let prefetcher: BlockPrefetcher

  /// - Parameters:
  ///   - streams: B, of the global batch.
  ///   - local: which of them are read here.
  ///   - window: T, in steps.
  ///   - remainder: what happens to tokens that don't fill the streams and windows evenly.
  ///   - blockTokens: how many tokens of a stream are read at a time; nil for what 32 MiB hold, at least 32768 and at
  ///     most a chunk. A chunk of up to 2²⁰ tokens is decoded once for each block in it, so long blocks are cheap ones.
  /// - Throws: ``Failure`` where the split has too few tokens for the streams.
  package init(
    source: any TokenSource, streams: Int, local: Range<Int>, window: Int, remainder: StreamLayout.Remainder,
    blockTokens: Int? = nil
  ) throws {
    let layout = try StreamLayout(tokens: source.count, streams: streams, window: window, remainder: remainder)
    precondition(local.lowerBound >= 0 && local.upperBound <= streams, "\(local) is not within \(streams) streams")
    (self.layout, self.local) = (layout, local)
    windowsPerBlock = Self.windowsPerBlock(layout, local: local.count, blockTokens: blockTokens)
    let span = windowsPerBlock * min(window, layout.stepCount)
    let stride = span + 1
    self.stride = stride
    prefetcher = BlockPrefetcher(
      blockCount: (layout.windowCount - 1) / windowsPerBlock + 1, blockTokens: local.count * stride
    ) { block, target in
      for (row, stream) in local.enumerated() {
        let first = block * span
        let steps = min(span, layout.predictions(of: stream) - first)
        guard steps > 0 else { continue }
        let start = layout.start(of: stream) + first
        let row = UnsafeMutableBufferPointer(rebasing: target[row * stride..<row * stride + steps + 1])
        try source.read(start..<start + steps + 1, into: row)
      }
    }
  }

  /// The streams of a split of a corpus.
  package convenience init(
    reader: CorpusReader, split: Split, streams: Int, local: Range<Int>, window: Int,
    remainder: StreamLayout.Remainder, blockTokens: Int? = nil
  ) throws {
    do {
      try self.init(
        source: reader.source(split), streams: streams, local: local, window: window, remainder: remainder,
        blockTokens: blockTokens)
    } catch var failure as Failure {
      failure.place = failure.place ?? "\(reader.directory), \(split) split"
      throw failure
    }
  }

  /// What the buffers of ``init(source:streams:local:window:remainder:blockTokens:)`` take, in bytes.
  ///
  /// - Parameter local: streams that are read.
  package static func bytes(_ layout: StreamLayout, local: Int) -> Int {
    let windows = windowsPerBlock(layout, local: local, blockTokens: nil)
    let blocks = min((layout.windowCount - 1) / windows + 1, 2)
    return 4 * blocks * local * (windows * min(layout.window, layout.stepCount) + 1)
  }

  private static func windowsPerBlock(_ layout: StreamLayout, local: Int, blockTokens: Int?) -> Int {
    let blockTokens = blockTokens ?? min(max(1 << 15, (1 << 22) / max(local, 1)), 1 << 20)
    precondition(blockTokens > 0, "a block holds tokens")
    return min(max(1, blockTokens / layout.window), layout.windowCount)
  }

  deinit { prefetcher.stop() }

  /// The part of the split that is read here.
  package var tokens: Range<Int> {
    guard let last = local.last else { return 0..<0 }
    return layout.start(of: local.lowerBound)..<layout.start(of: last)
      + layout.predictions(of: last) + 1
  }

  /// Windows of a pass over the split, the same on every worker.
  package var windowCount: Int { layout.windowCount }

  /// T of a window, below `window` only at the end.
  package func steps(inWindow index: Int) -> Int { layout.steps(inWindow: index) }

  /// Targets of a window, over all streams of the global batch.
  package func tokens(inWindow index: Int) -> Int { layout.tokens(inWindow: index) }

  /// Fills a window, time-major: `[t · local.count + b]`, t below ``steps(inWindow:)``.
  ///
  /// Where stream b has ended the input is 0 and the target −1. In order of the index this costs a copy; any other index
  /// waits for its block to be read.
  /// - Parameters:
  ///   - inputs: at least steps · local.count long; what follows is left alone.
  ///   - targets: likewise.
  /// - Throws: what reading the corpus met, now or ahead of need.
  package func read(
    window index: Int, inputs: UnsafeMutableBufferPointer<Int32>, targets: UnsafeMutableBufferPointer<Int32>
  ) throws {
    precondition((0..<windowCount).contains(index), "window \(index) of \(windowCount)")
    let steps = steps(inWindow: index)
    let width = local.count
    precondition(inputs.count >= steps * width && targets.count >= steps * width, "the buffers hold a window")
    let block = try prefetcher.block(index / windowsPerBlock)
    let offset = index % windowsPerBlock * layout.window
    for (column, stream) in local.enumerated() {
      let left = min(max(layout.predictions(of: stream) - index * layout.window, 0), steps)
      var source = column * stride + offset
      var target = column
      for _ in 0..<left {
        inputs[target] = block[source]
        targets[target] = block[source + 1]
        source += 1
        target += width
      }
      for _ in left..<steps {
        inputs[target] = 0
        targets[target] = -1
        target += width
      }
    }
  }
}
