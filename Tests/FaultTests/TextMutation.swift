import Kernels
import Parameters

/// Damage that only texts and configurations can have: what people type, editors save and parsers trip over.
enum TextMutation: String, CaseIterable {
  case zeroByte = "a zero byte"
  case byteOrderMark = "a byte order mark"
  case invalidUTF8 = "bytes that are not UTF-8"
  case longToken = "a very long word"
  case longLine = "line ends taken out"
  case lineEnds = "other line ends"
  case strangeScalars = "rare scalars"
  case movedLine = "a line moved, doubled or removed"
  // Of YAML alone.
  case aliases = "nested aliases"
  case nesting = "deep nesting"
  case value = "another value"
  case key = "another key"
  case syntax = "a sign of YAML's"

  static let ofAnyText: [TextMutation] = [
    .zeroByte, .byteOrderMark, .invalidUTF8, .longToken, .longLine, .lineEnds, .strangeScalars, .movedLine,
  ]

  static func apply(
    _ mutations: [TextMutation], to bytes: [UInt8], _ random: inout RandomStream
  ) -> (bytes: [UInt8], description: String) {
    while true {
      let mutation = random.pick(mutations)
      let damaged = mutation.apply(to: bytes, &random)
      if damaged != bytes { return (damaged, mutation.rawValue) }
    }
  }

  private func apply(to bytes: [UInt8], _ random: inout RandomStream) -> [UInt8] {
    var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map(Array.init)
    let line = random.below(lines.count)
    let place = random.below(bytes.count + 1)
    func inserting(_ new: [UInt8], at place: Int) -> [UInt8] { bytes[..<place] + new + bytes[place...] }
    switch self {
    case .zeroByte: return inserting([0], at: place)
    case .byteOrderMark:
      return inserting(
        random.pick([[0xEF, 0xBB, 0xBF], [0xFF, 0xFE], [0xFE, 0xFF], [0xFF, 0xFE, 0, 0], [0x1F, 0x8B, 8, 0]]),
        at: random.happens(0.7) ? 0 : place)
    case .invalidUTF8:
      let sequences: [[UInt8]] = [
        [0x80], [0xC3], [0xC0, 0xAF], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82], [0xFF],
      ]
      return inserting(random.pick(sequences), at: place)
    case .longToken:
      let letter = random.pick([UInt8(ascii: "a"), UInt8(ascii: "9")])
      return inserting(Array(repeating: letter, count: 1 << 20), at: place)
    case .longLine: return bytes.map { $0 == UInt8(ascii: "\n") ? UInt8(ascii: " ") : $0 }
    case .lineEnds:
      let end = random.pick(["\r", "\r\n", "\n\r", "\u{85}", "\u{2028}", "\u{B}", "\u{C}", "\n\n"])
      return Array(lines.joined(separator: end.utf8))
    case .strangeScalars:
      let scalars = [
        "\u{202E}", "e\u{301}\u{301}", "\u{10FFFF}", "\u{FFFE}", "🧵🏽‍♀️", "\u{200B}", "\u{7F}\u{1B}[2J",
      ]
      return inserting(Array(random.pick(scalars).utf8), at: lines[..<line].reduce(0) { $0 + $1.count + 1 })
    case .movedLine:
      let moved = random.happens(0.5) ? lines.remove(at: line) : lines[line]
      if random.happens(0.7) { lines.insert(moved, at: random.below(lines.count + 1)) }
    case .aliases:
      let depth = random.pick([3, 9, 30])
      let asKeys = random.happens(0.5)
      lines.append(Array("a0: &a0 [x, x]".utf8))
      for level in 1...depth {
        let alias = "*a\(level - 1)"
        let pair = "&a\(level) [\(alias), \(alias)]"
        lines.append(Array((asKeys ? "? \(pair)\n: x" : "a\(level): \(pair)").utf8))
      }
    case .nesting:
      let depth = random.pick([100, 10_000, 200_000])
      let (open, close) = random.pick([("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", ""), ("!!seq [", "]")])
      let nest = String(repeating: open, count: depth) + "x" + String(repeating: close, count: depth)
      lines[line] = Self.replacingValue(of: lines[line], by: nest)
    case .value: lines[line] = Self.replacingValue(of: lines[line], by: random.pick(Self.values))
    case .key:
      let names = lines.compactMap { Self.key(of: $0) }
      guard let old = Self.key(of: lines[line]), let new = names.isEmpty ? nil : random.pick(names) else { break }
      let text = String(decoding: lines[line], as: UTF8.self).replacing(old, with: new, maxReplacements: 1)
      lines[line] = Array(text.utf8)
    case .syntax: return inserting(Array(random.pick(Self.signs).utf8), at: place)
    }
    return Array(lines.joined(separator: [UInt8(ascii: "\n")]))
  }

  /// The line with another value after its first colon.
  private static func replacingValue(of line: [UInt8], by value: String) -> [UInt8] {
    let colon = line.firstIndex(of: UInt8(ascii: ":")).map { $0 + 1 } ?? line.count
    return line[..<colon] + Array(" \(value)".utf8)
  }

  private static func key(of line: [UInt8]) -> String? {
    line.firstIndex(of: UInt8(ascii: ":")).map {
      String(decoding: line[..<$0], as: UTF8.self).trimmingPrefix { $0 == " " }.description
    }
  }

  private static let values = [
    "0", "-1", "1", "2", "255", "2147483647", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808",
    "18446744073709551616", "-9223372036854775808", "1e999", "-1e999", "1e-999", ".nan", "nan", ".inf", "-.inf", "0x7f",
    "0o17",
    "1_000", "1.5", "true", "no", "null", "~", "\"\"", "[]", "{}", "[1, 2]", "{a: 1}", "!!binary aGk=", "!!float 3",
    "!x 3",
    "*unknown", "&a 3", "2001-12-14", "'", "\"\\u0000\"", "\"\\ud800\"", "|", ">-", "%", "@", "/dev/null", "/dev/zero",
    "..", "",
    String(repeating: "9", count: 5000), String(repeating: "x", count: 300),
  ]

  private static let signs = [
    "\t", ":", ": ", "- ", "? ", "#", " #", "---\n", "\n...\n", "%YAML 9.9\n", "{", "}", "[", "]", ",", "&a", "*a",
    "<<: *a\n", "!", "|",
    ">", "'", "\"", "\\", "\n  ", "\u{A0}",
  ]
}
