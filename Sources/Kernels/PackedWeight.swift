import CKernels
import Parameters

/// One matrix of weights, [n, k] as PyTorch stores it, in the two packed forms that training multiplies by.
package final class PackedWeight: Sendable {
  /// n
  package let rows: Int
  /// y = x·Wᵀ: [k → n]
  package let forward: PackedMatrix
  /// dx = dy·W: [n → k]; nil where only forward is needed.
  package let backward: PackedMatrix?

  /// Rows of `source` that are packed together; the last block may have fewer.
  package static let blockRows = Int(LS_PACKED_ROWS)

  /// - Parameters:
  ///   - needsBackward: whether dx will be wanted.
  ///   - memory: allocates the packed forms.
  package init(
    rows: Int, columns: Int, _ arithmetic: Arithmetic, precision: Precision = .f32, needsBackward: Bool,
    memory: FloatMemory = FloatBuffer.init(count:)
  ) throws {
    self.rows = rows
    func matrix(_ inner: Int, _ outer: Int) throws -> PackedMatrix {
      try PackedMatrix(inner: inner, outer: outer, arithmetic, precision: precision, memory: memory)
    }
    forward = try matrix(columns, rows)
    backward = needsBackward ? try matrix(rows, columns) : nil
  }

  /// Packs both forms from one reading of `source`: the share of worker `rank` of `count`.
  package func pack(_ source: MatrixView, rank: Int = 0, of count: Int = 1) {
    pack(source, blocks: (rank * blockCount / count)..<((rank + 1) * blockCount / count))
  }

  package var blockCount: Int { (rows + Self.blockRows - 1) / Self.blockRows }

  /// Packs the rows of some blocks.
  package func pack(_ source: MatrixView, blocks: Range<Int>) {
    precondition(source.rows == rows && source.columns == forward.inner, "weights of another shape")
    let (first, end) = (Int32(blocks.lowerBound), Int32(blocks.upperBound))
    switch forward.precision {
    case .f32:
      forward.arithmetic.kernels.pointee.pack_weights(
        source.pointer, source.stride, Int32(rows), Int32(source.columns), forward.packed.pointer,
        backward?.packed.pointer, first, end)
    case .bf16:
      forward.arithmetic.requireBFloat16().pointee.pack_weights(
        source.pointer, source.stride, Int32(rows), Int32(source.columns), forward.packed.halves,
        backward?.packed.halves, first, end)
    }
  }
}

extension FloatBuffer {
  /// The memory as 16-bit values, two a float.
  fileprivate var halves: UnsafeMutablePointer<UInt16> {
    UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: UInt16.self)
  }
}
