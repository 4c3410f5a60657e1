import Failures

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Where somebody gets floats from: so many, zeroed.
package typealias FloatMemory = (_ count: Int) throws -> FloatBuffer

/// A fixed-size block of `Float`, zeroed, aligned for vector loads, that lives as long as somebody holds it.
///
/// `@unchecked Sendable`: the memory has no lock. Its users share it between workers only in phases that a barrier
/// separates (all read, or each writes a range of its own).
package final class FloatBuffer: @unchecked Sendable {
  /// Valid for `count` floats as long as this object is.
  package let pointer: UnsafeMutablePointer<Float>
  package let count: Int
  /// Who gives the memory back, where this object does not.
  package let owner: AnyObject?

  /// Floats of memory that `owner` gives back when it goes.
  package init(_ pointer: UnsafeMutablePointer<Float>, count: Int, owner: AnyObject) {
    self.pointer = pointer
    self.count = count
    self.owner = owner
  }

  /// - Throws: ``Failure`` when the system has not that much memory.
  package init(count: Int) throws {
    precondition(count >= 0, "a buffer can't have a negative size")
    let (bytes, overflow) = max(count, 1).multipliedReportingOverflow(by: MemoryLayout<Float>.stride)
    // From 2 MiB on, huge pages: large tapes are walked with long strides that would miss in the TLB.
    let huge = 2 << 20
    let alignment = bytes >= huge ? huge : 64
    var raw: UnsafeMutableRawPointer?
    guard !overflow, posix_memalign(&raw, alignment, bytes) == 0, let raw else {
      throw Failure(
        .softwareFault, "can't allocate \(count) floats (\(count / 268_435_456) GiB)",
        remedy: "use a smaller model, window or number of streams, or a machine with more memory")
    }
    #if os(Linux)
      if bytes >= huge { madvise(raw, bytes, Int32(MADV_HUGEPAGE)) }
    #endif
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

  /// Row-major view of `rows` × `columns` floats from `offset` on.
  package func matrix(_ rows: Int, _ columns: Int, offset: Int = 0) -> MatrixView {
    precondition(offset >= 0 && offset + rows * columns <= count, "matrix outside the buffer")
    return MatrixView(pointer + offset, rows: rows, columns: columns)
  }

  package func fill(_ value: Float) { buffer.update(repeating: value) }
}
