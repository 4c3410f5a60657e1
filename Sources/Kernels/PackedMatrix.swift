import CKernels
import Parameters

/// The constant operand of a product, [inner × outer], in the layout that the kernels of one instruction set read.
///
/// The outer dimension is cut into panels of ``panelColumns``. A panel is dense, one inner index after the other, with
/// zeros for columns beyond the last one and up to a whole number of 16 rows; for bf16 a row of it holds pairs, of an
/// even inner index and the next.
///
/// ``PackedWeight`` writes the memory and every ``Product`` made from it reads it. Workers may share it: they pack between
/// two barriers and multiply after the second.
package final class PackedMatrix: @unchecked Sendable {  // safe by the phases described above
  package let inner: Int
  package let outer: Int
  package let precision: Precision
  package let arithmetic: Arithmetic
  package let packed: FloatBuffer
  package let panelColumns: Int
  /// Rows of a panel, or pairs of rows.
  private let panelRows: Int

  package var panelCount: Int { (outer + panelColumns - 1) / panelColumns }

  /// - Parameter memory: allocates the packed form.
  init(
    inner: Int, outer: Int, _ arithmetic: Arithmetic, precision: Precision, memory: FloatMemory
  ) throws {
    (self.inner, self.outer, self.arithmetic, self.precision) = (inner, outer, arithmetic, precision)
    panelColumns = arithmetic.panelColumns(precision)
    let units = precision == .f32 ? inner : (inner + 1) / 2
    panelRows = (units + 15) / 16 * 16
    let panels = (outer + panelColumns - 1) / panelColumns
    packed = try memory(panels * panelColumns * panelRows)
  }

  /// The naive twin of packing: `source`, [outer × inner] or [inner × outer], as 32-bit words; f32 only.
  package func naivePacking(_ source: MatrixView, transposed: Bool) -> [UInt32] {
    precondition(precision == .f32, "the twin of bf16 rounds elsewhere")
    var words = [UInt32](repeating: 0, count: packed.count)
    for k in 0..<inner {
      for j in 0..<outer {
        let place = ((j / panelColumns) * panelRows + k) * panelColumns + j % panelColumns
        words[place] = (transposed ? source[j, k] : source[k, j]).bitPattern
      }
    }
    return words
  }
}
