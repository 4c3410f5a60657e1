import Interfaces
import Kernels
import Parameters
import Sharding

/// The summed gradient of the part of the arena that this worker owns, however its addends are stored.
final class SegmentGradient {
  /// The owned part of one trained parameter.
  struct Part {
    /// In floats of the arena.
    let range: Range<Int>
    let storage: Storage
  }

  enum Storage {
    /// All floats, from the part's first on.
    case dense(UnsafeMutablePointer<Float>)
    /// The touched rows; the others are zero.
    case rows(RowSums)
  }

  /// In the order of the arena. Floats between them are zero: padding, and parameters that are not trained.
  let parts: [Part]
  private let scratch: FloatBuffer

  /// - Parameter longest: the most floats that ``values(_:)`` is asked for.
  init(_ parts: [Part], longest: Int) throws {
    self.parts = parts
    scratch = try FloatBuffer(count: longest)
  }

  /// The floats of a range of the arena: in place where they stand together, else copied together. Valid until the next
  /// call.
  func values(_ range: Range<Int>) -> UnsafePointer<Float> {
    if case .dense(let values, start: let start) = whole(range) {
      return UnsafePointer(values + range.lowerBound - start)
    }
    scratch.pointer.update(repeating: 0, count: range.count)
    for part in parts where part.range.overlaps(range) {
      switch part.storage {
      case .dense(let values):
        copy(part.range, values, to: range)
      case .rows(let rows):
        for piece in rows.pieces(in: range) { copy(piece.range, piece.values, to: range) }
      }
    }
    return UnsafePointer(scratch.pointer)
  }

  /// Whether a range holds nothing but zeros because no row in it was touched.
  func isUntouched(_ range: Range<Int>) -> Bool {
    if case .rows(let rows) = whole(range) { return rows.pieces(in: range).isEmpty }
    return false
  }

  private enum Whole {
    case dense(UnsafeMutablePointer<Float>, start: Int)
    case rows(RowSums)
    case several
  }

  /// The part that holds all of a range.
  private func whole(_ range: Range<Int>) -> Whole {
    guard
      let part = parts.first(where: { range.upperBound <= $0.range.upperBound }),
      part.range.lowerBound <= range.lowerBound
    else { return .several }
    switch part.storage {
    case .dense(let values): return .dense(values, start: part.range.lowerBound)
    case .rows(let rows): return .rows(rows)
    }
  }

  private func copy(_ source: Range<Int>, _ values: UnsafePointer<Float>, to range: Range<Int>) {
    let part = source.clamped(to: range)
    (scratch.pointer + part.lowerBound - range.lowerBound).update(
      from: values + part.lowerBound - source.lowerBound, count: part.count)
  }
}

extension RowSums {
  /// The touched pieces that overlap a range of the arena.
  func pieces(in range: Range<Int>) -> ArraySlice<Piece> {
    let first = pieces.partitionPoint { $0.range.upperBound > range.lowerBound }
    let end = pieces.partitionPoint { $0.range.lowerBound >= range.upperBound }
    return pieces[first..<max(first, end)]
  }
}

extension Array {
  /// The first index whose element satisfies a predicate that all later elements satisfy too.
  fileprivate func partitionPoint(_ predicate: (Element) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if predicate(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
