import Checkpoints
import Failures
import Files
import Foundation

/// The place in `metrics.jsonl` where the rows up to a step end; a resumed run rewrites the rest.
package struct MetricsCut: Equatable {
  /// Bytes of the rows up to the step.
  package let end: Int
  /// Bytes of the file.
  package let size: Int
  /// The step of the last row that is kept; nil if there is none.
  package let lastStep: Int?

  package var hasTail: Bool { size > end }

  /// Tries the offset that the checkpoint states; if the rows there don't match, searches backwards from the end.
  ///
  /// - Parameter stated: the offset that the checkpoint states, in bytes.
  /// - Returns: nil if there is no file.
  /// - Throws: ``Failure`` (can't write) if it can't be read.
  package init?(in directory: String, upTo step: Int, stated: Int?) throws {
    let path = MetricsFile.path(in: directory)
    guard access(path, F_OK) == 0 || errno != ENOENT else { return nil }
    let file = try PosixFile(path, O_RDWR | O_NOFOLLOW)
    let size = try file.size()
    self.size = size
    if let stated, stated <= size, stated >= 0 {
      let before = try Self.lastRow(of: file, before: stated)
      let after = try file.read(Self.block, at: stated)
      let next = MetricsRow.step(of: after.prefix { $0 != UInt8(ascii: "\n") })
      if stated == 0 || before?.end == stated && before?.step ?? .max <= step, next ?? .max > step {
        (end, lastStep) = (stated, before?.step)
        return
      }
    }
    var row = try Self.lastRow(of: file, before: size)
    while let found = row, found.step ?? .max > step { row = try Self.lastRow(of: file, before: found.start) }
    (end, lastStep) = (row?.end ?? 0, row?.step)
  }

  private static let block = 64 << 10

  private struct Row {
    let start: Int
    /// The offset after the line end.
    let end: Int
    /// nil for a line that is not a row.
    let step: Int?
  }

  /// The last complete line that ends at or before `limit`; nil if there is none.
  private static func lastRow(of file: borrowing PosixFile, before limit: Int) throws -> Row? {
    var start = limit
    var bytes: [UInt8] = []
    while true {
      let count = min(block, start)
      start -= count
      bytes = try file.read(count, at: start) + bytes
      if let end = bytes.lastIndex(of: UInt8(ascii: "\n")) {
        let line = bytes[..<end]
        let before = line.lastIndex(of: UInt8(ascii: "\n"))
        if before != nil || start == 0 {
          let first = before.map { $0 + 1 } ?? 0
          return Row(start: start + first, end: start + end + 1, step: MetricsRow.step(of: line[first...]))
        }
      } else if start == 0 {
        return nil
      }
    }
  }
}

extension MetricsFile {
  /// Recreates a missing file from a checkpoint's history.
  ///
  /// - Returns: its size in bytes.
  static func rebuild(in directory: String, from history: History) throws -> Int {
    var rows = history.train.stepRecords.map(MetricsRow.step)
    rows += history.valid.validationRecords.map(MetricsRow.validation)
    // Stable: a validation comes after the training row of its step.
    let order = rows.indices.sorted { (rows[$0].step, $0) < (rows[$1].step, $1) }
    let bytes = Array(order.map { rows[$0].json() }.joined().utf8)
    try TemporaryFile.replace(path(in: directory), with: bytes)
    return bytes.count
  }
}
