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
