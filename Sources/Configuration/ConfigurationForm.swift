import Failures
import Files

/// The type and range of a key's value.
enum ConfigurationForm: Sendable, Equatable {
  case integer(ClosedRange<Int>)
  /// A number of bytes with an optional unit.
  case bytes
  case number(NumberRange)
  case flag
  case word([String])
  case path

  /// For messages, such as "an integer from 1 to 256".
  var description: String {
    switch self {
    case .integer(let range) where range.upperBound == .max: "an integer, \(range.lowerBound) or more"
    case .integer(let range): "an integer from \(range.lowerBound) to \(range.upperBound)"
    case .bytes: "a number of bytes, such as 4 GiB or 500 MB"
    case .number(let range): "a number\(range.description)"
    case .flag: "true or false"
    case .word(let words): "one of \(words.joined(separator: ", "))"
    case .path: "a path"
    }
  }

  func accepts(_ value: ConfigurationValue) -> Bool {
    switch (self, value) {
    case (.integer(let range), .integer(let value)): range.contains(value)
    case (.bytes, .integer(let value)): value > 0
    case (.number(let range), .number(let value)): value.isFinite && range.contains(value)
    case (.flag, .flag): true
    case (.word(let words), .word(let value)): words.contains(value)
    case (.path, .path(let value)): !value.isEmpty && !value.utf8.contains(0)
    default: false
    }
  }

  /// The value of `text`; nil if it has another type or is out of range.
  ///
  /// - Parameter isQuoted: whether the text was in quotes, and so is not a number.
  func value(of text: String, isQuoted: Bool) -> ConfigurationValue? {
    let value: ConfigurationValue?
    switch self {
    case .path: value = .path(PathName.expandingHome(text))
    case .word: value = .word(text)
    case .bytes: value = ByteCount(text).map { .integer($0.bytes) }
    case _ where isQuoted: value = nil
    case .integer: value = integer(text).map(ConfigurationValue.integer)
    case .number: value = number(text).map(ConfigurationValue.number)
    case .flag: value = flag(text).map(ConfigurationValue.flag)
    }
    return value.flatMap { accepts($0) ? $0 : nil }
  }

  private func integer(_ text: String) -> Int? {
    // 010 is octal in YAML 1.1 and ten in YAML 1.2, so a leading zero is rejected.
    let digits = text.drop { $0 == "-" || $0 == "+" }
    return digits.count > 1 && digits.first == "0" ? nil : Int(text)
  }

  private func number(_ text: String) -> Double? {
    // Double would also accept hexadecimal, "nan" and "infinity".
    text.utf8.allSatisfy { "0123456789+-.eE".utf8.contains($0) } ? Double(text) : nil
  }

  private func flag(_ text: String) -> Bool? {
    switch text.lowercased() {
    case "true", "yes", "on": true
    case "false", "no", "off": false
    default: nil
    }
  }
}

/// The range of a numeric key.
enum NumberRange: Sendable, Equatable {
  case any
  case atLeast(Double)
  case above(Double)
  /// At least the first bound, below the second.
  case halfOpen(Double, Double)
  /// Above the first bound, at most the second.
  case aboveUpTo(Double, Double)

  func contains(_ value: Double) -> Bool {
    switch self {
    case .any: true
    case .atLeast(let lower): value >= lower
    case .above(let lower): value > lower
    case .halfOpen(let lower, let upper): lower <= value && value < upper
    case .aboveUpTo(let lower, let upper): lower < value && value <= upper
    }
  }

  var description: String {
    switch self {
    case .any: ""
    case .atLeast(let lower): ", \(short(lower)) or more"
    case .above(let lower): " above \(short(lower))"
    case .halfOpen(let lower, let upper): " from \(short(lower)) to below \(short(upper))"
    case .aboveUpTo(let lower, let upper): " above \(short(lower)), up to \(short(upper))"
    }
  }

  private func short(_ bound: Double) -> String { bound == bound.rounded() ? "\(Int(bound))" : "\(bound)" }
}
