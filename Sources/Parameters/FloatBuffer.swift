import Failures
import Glibc

/// Allocates `count` zeroed floats.
package typealias FloatMemory = (_ count: Int) throws -> FloatBuffer

/// A fixed number of floats, zeroed and aligned for vector loads.
///
/// `@unchecked Sendable`: the memory has no lock. Workers share it only in phases that a barrier separates: all read, or
/// each writes a range of its own.
package final class FloatBuffer: @unchecked Sendable {
  /// Valid for `count` floats as long as this object lives.
  package let pointer: UnsafeMutablePointer<Float>
  package let count: Int
  /// Frees the memory when it is released; nil where this object does.
  package let owner: AnyObject?

  /// Wraps memory that `owner` frees.
  package init(_ pointer: UnsafeMutablePointer<Float>, count: Int, owner: AnyObject) {
    (self.pointer, self.count, self.owner) = (pointer, count, owner)
  }

  /// - Throws: ``Failure`` when the memory can't be allocated.
  package init(count: Int) throws {
    precondition(count >= 0, "a buffer can't have a negative size")
    let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(by: MemoryLayout<Float>.stride)
    // Large buffers are walked with long strides, which would miss the TLB with small pages.
    let huge = 2 << 20
    let alignment = bytes >= huge ? huge : 64
    var raw: UnsafeMutableRawPointer?
    guard !overflow, posix_memalign(&raw, alignment, bytes) == 0, let raw else {
      throw Failure(
        .softwareFault, "can't allocate \(count) floats (\(count / 268_435_456) GiB)",
        remedy: "use a smaller model, window or number of streams, or a machine with more memory")
    }
    if bytes >= huge { madvise(raw, bytes, Int32(MADV_HUGEPAGE)) }
    memset(raw, 0, bytes)
    pointer = raw.bindMemory(to: Float.self, capacity: count)
    self.count = count
    owner = nil
  }

  deinit { if owner == nil { free(pointer) } }

  package var buffer: UnsafeMutableBufferPointer<Float> { .init(start: pointer, count: count) }

  /// The floats in `range` as a flat buffer.
  package subscript(range: Range<Int>) -> UnsafeMutableBufferPointer<Float> {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "range outside the buffer")
    return .init(start: pointer + range.lowerBound, count: range.count)
  }

  /// A row-major view of `rows` × `columns` floats from `offset` on.
  package func matrix(_ rows: Int, _ columns: Int, offset: Int = 0) -> MatrixView {
    precondition(offset >= 0 && offset + rows * columns <= count, "matrix outside the buffer")
    return MatrixView(pointer + offset, rows: rows, columns: columns)
  }

  package func fill(_ value: Float) { buffer.update(repeating: value) }
}
