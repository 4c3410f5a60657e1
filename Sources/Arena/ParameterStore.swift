/// An arena laid out by a ``ParameterLayout``: weights, or gradients, or an optimiser's slot.
package final class ParameterStore: Sendable {
  package let layout: ParameterLayout
  package let values: FloatBuffer

  package init(_ layout: ParameterLayout, memory: FloatMemory = FloatBuffer.init(count:)) throws {
    self.layout = layout
    values = try memory(layout.count)
  }

  /// The parameter as a matrix; a vector is one row.
  package func matrix(_ name: String) -> MatrixView {
    guard let parameter = layout[name] else { preconditionFailure("no parameter \(name)") }
    let rows = parameter.shape.count == 2 ? parameter.shape[0] : 1
    return values.matrix(rows, parameter.count / max(rows, 1), offset: parameter.offset)
  }

  /// The parameter's floats, row-major.
  package func floats(_ name: String) -> UnsafeMutableBufferPointer<Float> {
    guard let parameter = layout[name] else { preconditionFailure("no parameter \(name)") }
    return values[parameter.range]
  }
}
