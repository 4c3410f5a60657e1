import Failures
import Foundation

/// Files that are written under another name until they are whole.
package enum TemporaryFile {
  /// Marks the name of a file that is being written.
  package static let mark = ".partial-"

  /// A name beside `path` that no other process uses: it carries host, process and a random part.
  package static func name(for path: String) -> String {
    let random = String(UInt32.random(in: 0...UInt32.max), radix: 16)
    return "\(path)\(mark)\(ProcessIdentity.hostName)-\(getpid())-\(random)"
  }

  /// The name of the file that will take the place, if this is a name that ``name(for:)`` or version 1 has made.
  package static func owner(of name: String) -> String? {
    guard let range = name.range(of: mark, options: .backwards), range.lowerBound > name.startIndex else { return nil }
    let suffix = name[range.upperBound...]
    let parts = suffix.split(separator: "-", omittingEmptySubsequences: false)
    guard Int(suffix) != nil || parts.count >= 3 && Int(parts[parts.count - 2]) != nil else { return nil }
    return String(name[..<range.lowerBound])
  }

  /// Puts a file with these bytes at `path`, atomically, and all of it on the disk.
  ///
  /// - Throws: `Failure` (can't write); what was at `path` stays then.
  package static func replace(_ path: String, with bytes: [UInt8]) throws {
    let temporary = name(for: path)
    do {
      let file = try PosixFile(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)
      try file.write(bytes, at: 0)
      try file.synchronize()
      try PosixFile.move(temporary, over: path)
    } catch {
      _ = unlink(temporary)
      throw error
    }
    try PosixFile.synchronizeDirectory(PathName(path).directory)
  }

  /// Copies `count` bytes of a file, from `offset`, or the rest of it if no count is given, to a new file at `path`, on the disk.
  ///
  /// - Throws: `Failure` (can't write, or bad data where the source can't be read); nothing is left at `path` then.
  package static func copy(_ source: String, from offset: Int = 0, count: Int? = nil, to path: String) throws {
    let input = try PosixFile(source)
    do {
      let output = try PosixFile(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)
      var done = 0
      while count.map({ done < $0 }) ?? true {
        let bytes = try input.read(min(1 << 20, (count ?? .max) - done), at: offset + done)
        if bytes.isEmpty { break }
        try output.write(bytes, at: done)
        done += bytes.count
      }
      try output.synchronize()
    } catch {
      _ = unlink(path)
      throw error
    }
  }
}
