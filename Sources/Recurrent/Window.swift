/// One window of the worker's streams: what goes in and what should come out. The unit of work of a training step.
package final class Window {
  /// T of this window; shorter than the buffers at the end of an epoch.
  package var steps: Int
  package let streams: Int
  /// [T, B] token ids, time-major.
  package let inputs: UnsafeMutableBufferPointer<Int32>
  /// [T, B] the next tokens; −1 where a stream has ended, which masks the row.
  package let targets: UnsafeMutableBufferPointer<Int32>

  package init(steps: Int, streams: Int) {
    self.steps = steps
    self.streams = streams
    inputs = .allocate(capacity: steps * streams)
    targets = .allocate(capacity: steps * streams)
    inputs.initialize(repeating: 0)
    targets.initialize(repeating: -1)
  }

  package var rows: Int { steps * streams }

  deinit {
    inputs.deallocate()
    targets.deallocate()
  }
}
