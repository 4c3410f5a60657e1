import Interfaces
import Kernels
import Layers
import Models
import NumericSupport
import Parameters

/// The tokens of a few windows of a global batch, from which a worker's windows are cut.
struct GlobalWindow {
  let steps: Int
  let streams: Int
  /// [T, B], time-major.
  let tokens: [Int32]
  /// [T, B]; −1 is masked.
  var targets: [Int32]

  init(steps: Int, streams: Int, vocabularySize: Int, seed: UInt64) {
    self.steps = steps
    self.streams = streams
    (tokens, targets) = withScratch(seed: seed) {
      ($0.integers(steps * streams, below: vocabularySize), $0.integers(steps * streams, below: vocabularySize))
    }
  }

  /// As at the end of an epoch: the streams from `stream` on have ended before the last step.
  mutating func endStreams(from stream: Int) {
    for b in stream..<streams { targets[(steps - 1) * streams + b] = -1 }
  }

  /// The part of one worker.
  func local(_ range: Range<Int>) -> Window { local(range, steps: 0..<steps) }

  /// The part of one worker, of a run of steps.
  func local(_ range: Range<Int>, steps: Range<Int>) -> Window {
    let window = Window(steps: steps.count, streams: range.count)
    for (row, t) in steps.enumerated() {
      for (column, b) in range.enumerated() {
        window.tokens[row * range.count + column] = tokens[t * streams + b]
        window.targets[row * range.count + column] = targets[t * streams + b]
      }
    }
    return window
  }
}
