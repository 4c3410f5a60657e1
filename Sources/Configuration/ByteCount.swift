/// A byte count with an optional unit, such as `1048576`, `4 GiB` or `1.5GB`.
package struct ByteCount: Sendable, Equatable {
  package let bytes: Int

  private static let units: [String: Double] = [
    "": 1, "b": 1, "kib": 0x1p10, "mib": 0x1p20, "gib": 0x1p30, "tib": 0x1p40, "kb": 1e3, "mb": 1e6, "gb": 1e9,
    "tb": 1e12,
  ]

  /// nil if `text` is not a byte count or is less than one byte.
  package init?(_ text: String) {
    let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    let unit = text.dropFirst(number.count).drop { $0 == " " }.lowercased()
    guard let value = Double(number), let factor = Self.units[unit] else { return nil }
    let bytes = (value * factor).rounded(.down)
    guard bytes >= 1, let exact = Int(exactly: bytes) else { return nil }
    self.bytes = exact
  }
}
