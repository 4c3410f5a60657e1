import Failures
import Files
import Foundation

/// `metrics.jsonl` of a run directory: one JSON object per line, for each step and each validation.
///
/// Rows are buffered and written about once a second, so that most steps neither format nor write. The first row of a
/// step after each start records the run's id.
final class MetricsFile {
  private let file: PosixFile
  private let run: String
  /// Called before rows are written; throws if this is no longer the run's only writer.
  private let mayWrite: () throws -> Void
  /// Bytes written so far.
  private(set) var size: Int
  private var rows: [MetricsRow] = []
  private var hasStatedRun = false
  private var lastWrite = ContinuousClock.now
  private static let capacity = 4096

  static func path(in directory: String) -> String { "\(directory)/metrics.jsonl" }

  /// Opens the file, truncates it to `size` bytes and appends after them.
  ///
  /// - Throws: ``Failure`` (can't write).
  init(directory: String, run: String, keeping size: Int, mayWrite: @escaping () throws -> Void = {}) throws {
    (self.run, self.size, self.mayWrite) = (run, size, mayWrite)
    file = try Self.reporting("check the directory's permissions and free space") {
      let file = try PosixFile(Self.path(in: directory), O_RDWR | O_CREAT | O_NOFOLLOW)
      try file.truncate(to: size)
      return file
    }
    rows.reserveCapacity(Self.capacity)
  }

  func append(_ row: MetricsRow) throws {
    rows.append(row)
    if rows.count >= Self.capacity || ContinuousClock.now - lastWrite > .seconds(1) { try flush() }
  }

  /// Writes the buffered rows. Throws ``Failure`` (can't write).
  func flush() throws {
    lastWrite = .now
    guard !rows.isEmpty else { return }
    try mayWrite()
    var text = ""
    for row in rows {
      guard case .step = row, !hasStatedRun else {
        text += row.json()
        continue
      }
      text += row.json(run: run)
      hasStatedRun = true
    }
    rows.removeAll(keepingCapacity: true)
    let bytes = Array(text.utf8)
    try Self.reporting("free some space and resume the run") { try file.write(bytes, at: size) }
    size += bytes.count
  }

  /// Writes the buffered rows and waits until they are on disk. Throws ``Failure`` (can't write).
  func synchronize() throws {
    try flush()
    try Self.reporting("free some space and resume the run") { try file.synchronize() }
  }

  private static func reporting<Result: ~Copyable>(_ remedy: String, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let failure as Failure {
      throw Failure(
        .cannotWrite, "can't write the metrics", at: failure.place, cause: failure.cause ?? failure.what, remedy: remedy
      )
    }
  }
}
