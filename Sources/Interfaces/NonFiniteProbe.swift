import Parameters
import Sharding

/// Finds the first value of a training pass that is NaN or infinite, in the order of computation.
///
/// A model that has one shows it every tensor as soon as it is computed. That reads each value once more, so only a
/// replay has one.
package final class NonFiniteProbe {
  /// A value that is not finite, and where it stands.
  package struct Finding: Sendable, Equatable {
    /// What was computed, such as "cell state of layer 1".
    package var tensor: String
    /// From 0; nil where the tensor has no time steps.
    package var timeStep: Int?
    package var row: Int
    /// What a row is: a stream, a token, a row of a parameter.
    package var rowKind: String
    package var column: Int
    package var value: Float

    /// Such as "cell state of layer 1, time step 3, stream 12, column 40: infinite".
    package var description: String {
      let step = timeStep.map { ", time step \($0)" } ?? ""
      let text = value.isNaN ? "not a number" : value < 0 ? "minus infinity" : "infinite"
      return "\(tensor)\(step), \(rowKind) \(row), column \(column): \(text)"
    }
  }

  package private(set) var first: Finding?

  package init() {}

  /// Looks at rows of one time step, one for each sequence, [B, N].
  package func visit(_ tensor: @autoclosure () -> String, _ values: MatrixView, timeStep: Int) {
    visit(tensor(), values) { ("stream", $0, timeStep) }
  }

  /// Looks at the one row of a position, [1, N].
  package func visit(_ tensor: String, _ values: MatrixView, row stream: Int, timeStep: Int) {
    visit(tensor, values) { _ in ("stream", stream, timeStep) }
  }

  /// Looks at rows of a whole batch.
  package func visit(_ tensor: @autoclosure () -> String, _ values: MatrixView, _ layout: TimeMajorRows) {
    visit(tensor(), values) {
      let position = layout.position(of: $0)
      return ("stream", position.sequence, position.step)
    }
  }

  /// Looks at the rows of a parameter, or of anything else without time steps.
  package func visit(_ tensor: @autoclosure () -> String, _ values: MatrixView, rowKind: String = "row") {
    visit(tensor(), values) { (rowKind, $0, nil) }
  }

  private func visit(
    _ tensor: @autoclosure () -> String, _ values: MatrixView, place: (Int) -> (kind: String, row: Int, step: Int?)
  ) {
    guard first == nil else { return }
    for row in 0..<values.rows {
      let start = values.pointer + row * values.stride
      for column in 0..<values.columns where !start[column].isFinite {
        let (kind, row, step) = place(row)
        first = Finding(
          tensor: tensor(), timeStep: step, row: row, rowKind: kind, column: column, value: start[column])
        return
      }
    }
  }
}
