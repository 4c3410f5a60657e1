import Failures
import Files
import Foundation
import Testing

@Suite struct PathNameTests {
  /// What dirname and basename print.
  @Test(arguments: [
    ("w", ".", "w"), ("w/", ".", "w"), ("./w", ".", "w"), ("a/b", "a", "b"), ("a//b//", "a", "b"), ("/w", "/", "w"),
    ("//w", "/", "w"), ("/a/b.h5", "/a", "b.h5"), ("/", "/", "/"), (".", ".", "."), ("é", ".", "é"), ("ä/é", "ä", "é"),
  ])
  func partsAreThoseOfTheShell(path: String, directory: String, last: String) {
    let name = PathName(path)
    #expect(name.directory == directory && name.last == last)
  }

  @Test func anEmptyPathHasNoName() {
    #expect(PathName("").directory == "." && PathName("").last.isEmpty)
  }

  @Test func aHomeDirectoryIsTheOneOfTheEnvironment() {
    let home = String(cString: getenv("HOME"))
    #expect(PathName.expandingHome("~/runs/a") == home + "/runs/a")
    #expect(PathName.expandingHome("~") == home)
    // Only at the beginning; and other users' homes are not looked up.
    #expect(PathName.expandingHome("runs/~/a") == "runs/~/a")
    #expect(PathName.expandingHome("~root/a") == "./~root/a")
    #expect(PathName.expandingHome("") == "")
  }
}
