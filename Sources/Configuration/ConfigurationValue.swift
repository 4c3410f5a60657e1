/// The value of one key.
package enum ConfigurationValue: Sendable, Equatable {
  case integer(Int)
  case number(Double)
  case flag(Bool)
  case word(String)
  case path(String)

  /// The value in YAML; parsing it gives the same value.
  package var yaml: String {
    switch self {
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"  // The shortest digits that parse as the same Double.
    case .flag(let value): "\(value)"
    case .word(let value): value
    case .path(let value): quoted(value)
    }
  }
}

/// `text` as a YAML scalar: plain if it is unambiguous, else double-quoted.
private func quoted(_ text: String) -> String {
  let isPlain =
    text.contains("/")
    && text.unicodeScalars.allSatisfy {
      $0.isASCII && ($0.properties.isAlphabetic || "0123456789/._-".unicodeScalars.contains($0))
    }
    && !text.hasPrefix("-")
  return isPlain ? text : "\"\(text.unicodeScalars.map(escaped).joined())\""
}

private func escaped(_ scalar: Unicode.Scalar) -> String {
  switch scalar {
  case "\"", "\\": return "\\\(scalar)"
  case _ where scalar.isASCII && scalar.value >= 0x20 && scalar.value < 0x7F: return "\(scalar)"
  case _ where scalar.properties.isAlphabetic: return "\(scalar)"
  default:
    let digits = String(scalar.value, radix: 16, uppercase: true)
    return "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
  }
}
