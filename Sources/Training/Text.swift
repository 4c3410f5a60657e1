import Foundation

/// Formats a number with `digits` decimals, independent of the locale.
package func fixed(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }

/// Formats a number with four significant digits, independent of the locale.
func significant(_ value: Double) -> String { String(format: "%.4g", value) }

/// Formats an integer with thousands separators: 12,345,678.
package func grouped(_ value: Int) -> String {
  let digits = String(value.magnitude)
  var text = ""
  for (index, digit) in digits.enumerated() {
    if index > 0, (digits.count - index) % 3 == 0 { text += "," }
    text.append(digit)
  }
  return value < 0 ? "-" + text : text
}

/// Formats a duration: 42 s, 3 min 10 s, 2 h 05 min, 3 d 04 h.
package func readable(seconds: Double) -> String {
  guard seconds.isFinite, seconds >= 0 else { return "unknown" }
  let s = Int(seconds.rounded())
  switch s {
  case ..<60: return "\(s) s"
  case ..<3600: return "\(s / 60) min \(twoDigits(s % 60)) s"
  case ..<86400: return "\(s / 3600) h \(twoDigits(s / 60 % 60)) min"
  default: return "\(s / 86400) d \(twoDigits(s / 3600 % 24)) h"
  }
}

private func twoDigits(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }

/// Formats a byte count with a binary unit.
package func readable(bytes: Int) -> String {
  switch bytes {
  case ..<10_000: "\(bytes) B"
  case ..<10_000_000: "\(fixed(Double(bytes) / 1024, 1)) KiB"
  case ..<10_000_000_000: "\(fixed(Double(bytes) / 1_048_576, 1)) MiB"
  default: "\(fixed(Double(bytes) / 1_073_741_824, 1)) GiB"
  }
}
