import Glibc

/// The two parts of a path, as `dirname` and `basename` of the shell see them.
///
/// Foundation's `deletingLastPathComponent` is not fit for what a user types: it traps on names of one character.
package struct PathName: Sendable, Equatable {
  /// "." where the path names none.
  package let directory: String
  /// Without slashes, but "/" for the root and "" for an empty path.
  package let last: String

  package init(_ path: String) {
    var name = path[...]
    while name.count > 1, name.hasSuffix("/") { name.removeLast() }
    guard let slash = name.lastIndex(of: "/"), name.count > 1 else {
      (directory, last) = (name == "/" ? "/" : ".", String(name))
      return
    }
    last = String(name[name.index(after: slash)...])
    var above = name[..<slash]
    while above.count > 1, above.hasSuffix("/") { above.removeLast() }
    directory = above.isEmpty ? "/" : String(above)
  }
}

extension PathName {
  /// A path that a user gave, in the only reading that all of the program shares: that of the system's calls, with `~/`
  /// at its beginning replaced by the home directory.
  ///
  /// A shell does not do so inside of a word such as `run.directory=~/runs`, and Foundation does it in some calls only. It
  /// also takes `~name` for another user's home; here that is a file's name, and made safe from Foundation.
  package static func expandingHome(_ path: String) -> String {
    guard path.utf8.first == UInt8(ascii: "~") else { return path }
    guard path == "~" || path.utf8.dropFirst().first == UInt8(ascii: "/") else { return "./\(path)" }
    guard let home else { return "./\(path)" }
    return home + path.dropFirst()
  }

  private static var home: String? {
    if let variable = getenv("HOME"), variable.pointee != 0 { return String(cString: variable) }
    return getpwuid(getuid()).map { String(cString: $0.pointee.pw_dir) }
  }
}
