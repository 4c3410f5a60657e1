import Parameters

/// The states of one layer over a batch: slot 0 is the state that the batch starts from, slot t + 1 the one after time
/// step t. [(T + 1)·B, H]
package final class StateTape {
  private let values: FloatBuffer
  private let size: Int

  /// - Parameters:
  ///   - steps: T, at most.
  ///   - sequences: B, at most.
  ///   - size: H
  package init(steps: Int, sequences: Int, size: Int) throws {
    self.size = size
    values = try FloatBuffer(count: (steps + 1) * sequences * size)
  }

  /// [B, H]
  package func slot(_ index: Int, _ sequences: Int) -> MatrixView {
    values.matrix(sequences, size, offset: index * sequences * size)
  }

  /// The states before each time step, [T·B, H]: row t·B + b is h(t−1) of sequence b.
  package func before(_ pass: Pass) -> MatrixView { values.matrix(pass.rows, size) }

  /// The states after each time step, [T·B, H]: the layer's output.
  package func after(_ pass: Pass) -> MatrixView {
    values.matrix(pass.rows, size, offset: pass.sequences * size)
  }

  /// Carries the state after the batch's last step over to the next batch, detached from its history.
  package func carry(_ pass: Pass) {
    slot(0, pass.sequences).update(from: slot(pass.steps, pass.sequences))
  }
}
