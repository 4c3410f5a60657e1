import Parameters

/// One window of a worker's token streams: the input of a language model.
package struct Window {
  /// T of this window; shorter than the buffers at the end of an epoch.
  package var steps: Int
  /// B
  package let streams: Int
  /// [T, B] token ids, time-major.
  package let inputs: Buffer<Int32>
  /// [T, B] the next tokens; −1 where a stream has ended, which masks the row.
  package let targets: Buffer<Int32>

  /// - Parameter steps: the longest window's.
  package init(steps: Int, streams: Int) {
    self.steps = steps
    self.streams = streams
    inputs = Buffer(repeating: 0, count: steps * streams)
    targets = Buffer(repeating: -1, count: steps * streams)
  }

  package var rows: Int { steps * streams }
}
