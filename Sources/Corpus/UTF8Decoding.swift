/// One step of UTF-8 decoding (Unicode 15, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF).
enum DecodedScalar {
  case scalar(UInt32, length: Int)
  /// The bytes end inside a scalar.
  case incomplete
  case invalid
}

typealias Bytes = UnsafeBufferPointer<UInt8>

/// Decodes the scalar of two or more bytes that starts at `start`; ASCII is the caller's fast path.
@inline(__always)
func decodeMultibyteScalar(_ bytes: Bytes, at start: Int) -> DecodedScalar {
  let lead = bytes[start]
  let length: Int
  var value: UInt32
  // The second byte's range is narrower for some leads; that is what shuts out overlong forms and surrogates.
  var secondRange: ClosedRange<UInt8> = 0x80...0xBF
  switch lead {
  case 0xC2...0xDF:
    length = 2
    value = UInt32(lead & 0x1F)
  case 0xE0...0xEF:
    length = 3
    value = UInt32(lead & 0x0F)
    if lead == 0xE0 { secondRange = 0xA0...0xBF }
    if lead == 0xED { secondRange = 0x80...0x9F }
  case 0xF0...0xF4:
    length = 4
    value = UInt32(lead & 0x07)
    if lead == 0xF0 { secondRange = 0x90...0xBF }
    if lead == 0xF4 { secondRange = 0x80...0x8F }
  default:
    return .invalid
  }
  let available = min(length, bytes.count - start)
  for index in 1..<max(available, 1) {
    let byte = bytes[start + index]
    guard index == 1 ? secondRange.contains(byte) : (0x80...0xBF).contains(byte) else { return .invalid }
    value = value << 6 | UInt32(byte & 0x3F)
  }
  return available == length ? .scalar(value, length: length) : .incomplete
}

/// White space above ASCII: the property White_Space of Unicode.
@inline(__always)
func isWideWhiteSpace(_ scalar: UInt32) -> Bool {
  switch scalar {
  case 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
  default: false
  }
}

/// White space of ASCII: tab, line feed, vertical tab, form feed, carriage return, space.
@inline(__always)
func isASCIIWhiteSpace(_ byte: UInt8) -> Bool {
  byte == 0x20 || byte &- 0x09 <= 0x04
}

/// Whether `left` comes before `right` in code-point order, which is the byte order of UTF-8.
///
/// `String`'s own `<` compares what is canonically equivalent as equal; tokens are told apart by their scalars.
func precedesInCodePointOrder(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
  left.lexicographicallyPrecedes(right)
}
