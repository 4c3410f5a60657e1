import Configuration
import Testing

@Suite struct ByteCountTests {
  @Test(arguments: [
    ("1048576", 1 << 20), ("4 GiB", 4 << 30), ("1.5GiB", 3 << 29), ("500 MB", 500_000_000), ("2kb", 2000), ("7 B", 7),
  ])
  func numbersWithAndWithoutUnits(_ text: String, bytes: Int) {
    #expect(ByteCount(text)?.bytes == bytes)
  }

  @Test(arguments: ["", "GiB", "-1", "0", "4 GiBit", "4 G", "nan", "1e3", "1e400 GiB", "99999999999999999999"])
  func otherTextIsNone(_ text: String) { #expect(ByteCount(text) == nil) }
}
