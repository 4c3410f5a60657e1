import Parameters
import Sharding

/// The states of one layer over a batch: those that the batch starts from, [B, H], then those after each time step, a row
/// for each position.
package final class StateTape {
  private let values: FloatBuffer
  private let size: Int

  /// - Parameters:
  ///   - rows: positions, at most.
  ///   - sequences: B, at most.
  ///   - size: H
  package init(rows: Int, sequences: Int, size: Int) throws {
    self.size = size
    values = try FloatBuffer(count: (rows + sequences) * size)
  }

  /// The states that the batch starts from, [B, H].
  package func initial(_ sequences: Int) -> MatrixView { values.matrix(sequences, size) }

  /// The states before a time step, of the sequences that reach it.
  package func before(step: Int, _ pass: Pass) -> MatrixView {
    let reaching = pass.rows(of: step).count
    return step == 0 ? initial(reaching) : after(step: step - 1, pass).rows(0..<reaching)
  }

  /// The states after a time step, of the sequences that reach it.
  package func after(step: Int, _ pass: Pass) -> MatrixView {
    let rows = pass.rows(of: step)
    return values.matrix(rows.count, size, offset: (pass.sequences + rows.lowerBound) * size)
  }

  /// The states after each time step: the layer's output, a row for each position.
  package func after(_ pass: Pass) -> MatrixView {
    values.matrix(pass.rows, size, offset: pass.sequences * size)
  }

  /// All states of the batch, [B + rows, H]: the initial ones first.
  package func all(_ pass: Pass) -> MatrixView { values.matrix(pass.sequences + pass.rows, size) }

  /// Carries the states after the batch's last step over to the next batch, detached from their history.
  package func carry(_ pass: Pass) { initial(pass.sequences).update(from: after(step: pass.steps - 1, pass)) }
}

extension TimeMajorRows {
  /// The row of a ``StateTape``, counted from its first, that holds the state before a position.
  func stateRow(before row: Int) -> Int {
    let position = position(of: row)
    return position.step == 0
      ? position.sequence : sequences + self.row(step: position.step - 1, sequence: position.sequence)
  }
}
