import Failures
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
}
