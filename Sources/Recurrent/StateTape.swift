import Arena

/// The states of one layer over a window: slot 0 is the state that the window starts from, slot t + 1 the one after time
/// step t. [(T + 1)·B, H]
package final class StateTape {
  package let values: FloatBuffer
  package let streams: Int
  package let size: Int

  package init(window: Int, streams: Int, size: Int) throws {
    self.streams = streams
    self.size = size
    values = try FloatBuffer(count: (window + 1) * streams * size)
  }

  /// [B, H]
  package func slot(_ index: Int) -> MatrixView { values.matrix(streams, size, offset: index * streams * size) }

  /// The states before each of `steps` time steps, [T·B, H]: row t·B + b is h(t−1) of stream b.
  package func before(steps: Int) -> MatrixView { values.matrix(steps * streams, size) }

  /// The states after each of `steps` time steps, [T·B, H]: the layer's output.
  package func after(steps: Int) -> MatrixView { values.matrix(steps * streams, size, offset: streams * size) }

  /// Carries the state after the window's last step over to the next window, detached from its history.
  package func carry(steps: Int) {
    slot(0).pointer.update(from: slot(steps).pointer, count: streams * size)
  }

  /// The initial state, [B, H], to save, restore or reset.
  package var initial: UnsafeMutableBufferPointer<Float> { values[0..<(streams * size)] }
}
