import Parameters

/// The states of one layer over a batch: states 0 are those that the batch starts from, states t + 1
/// those after time step t. [(T + 1)·B, H]
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
  package func states(_ index: Int, _ sequences: Int) -> MatrixView {
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
    states(0, pass.sequences).update(from: states(pass.steps, pass.sequences))
  }
}
