import Arena
import CKernels

/// One matrix of weights, [n, k] as PyTorch stores it, in the two packed forms that training multiplies by.
package final class PackedWeight: Sendable {
  /// n
  package let rows: Int
  /// y = x·Wᵀ: [k → n]
  package let forward: PackedMatrix
  /// dx = dy·W: [n → k]; nil where only forward is needed.
  package let backward: PackedMatrix?

  /// Rows of `source` that are packed at once, or fewer in the last panel.
  package static let panelRows = 64

  /// - Parameters:
  ///   - training: whether the backward form will be wanted.
  ///   - memory, isReadFromTheEnd: as for ``PackedMatrix``.
  package init(
    rows: Int, columns: Int, precision: Precision = .f32, training: Bool,
    memory: FloatMemory = FloatBuffer.init(count:), isReadFromTheEnd: Bool = false
  ) throws {
    self.rows = rows
    func matrix(_ inner: Int, _ outer: Int) throws -> PackedMatrix {
      try PackedMatrix(
        inner: inner, outer: outer, precision: precision, memory: memory, isReadFromTheEnd: isReadFromTheEnd)
    }
    forward = try matrix(columns, rows)
    backward = training ? try matrix(rows, columns) : nil
  }

  /// Packs both forms from one reading of `source`: the share of worker `rank` of `count`.
  ///
  /// Where the library wants another layout than panels its own reorder runs, several times slower. Throws
  /// ``OneDNNError``.
  package func pack(_ source: MatrixView, rank: Int = 0, of count: Int = 1) throws {
    precondition(source.rows == rows && source.columns == forward.inner, "weights of another shape")
    guard packsByPanels else {
      if rank == 0 { try forward.pack(source, transposed: true) }
      if rank == 1 % count { try backward?.pack(source, transposed: false) }
      return
    }
    pack(source, panels: (rank * panelCount / count)..<((rank + 1) * panelCount / count))
  }

  /// Whether the library's layout is one that can be written panel by panel.
  package var packsByPanels: Bool { forward.isInPanels && backward?.isInPanels ?? true }

  package var panelCount: Int { (rows + Self.panelRows - 1) / Self.panelRows }

  /// Packs the rows of some panels; only where ``packsByPanels``.
  package func pack(_ source: MatrixView, panels: Range<Int>) {
    precondition(packsByPanels && source.rows == rows && source.columns == forward.inner, "weights of another shape")
    let (first, end) = (Int32(panels.lowerBound), Int32(panels.upperBound))
    switch forward.precision {
    case .f32:
      kernels.pack_weights(
        source.pointer, source.stride, Int32(rows), Int32(source.columns), forward.packed.pointer,
        backward?.packed.pointer, first, end)
    case .bf16:
      guard let table = bfloat16Kernels else { preconditionFailure("no bf16 instructions on this processor") }
      table.pack_weights(
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
