/// An arena of the values of all parameters of a layout.
package final class ParameterStore: Sendable {
  package let layout: ParameterLayout
  package let values: FloatBuffer

  package init(_ layout: ParameterLayout, memory: FloatMemory = FloatBuffer.init(count:)) throws {
    self.layout = layout
    values = try memory(layout.count)
  }

  /// [rows, columns]; a vector is one row.
  package func matrix(_ parameter: Parameter) -> MatrixView {
    values.matrix(parameter.rows, parameter.columns, offset: parameter.offset)
  }

  /// The parameter's floats, row-major.
  package subscript(parameter: Parameter) -> UnsafeMutableBufferPointer<Float> { values[parameter.range] }
}
