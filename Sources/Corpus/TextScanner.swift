/// What is wrong with the text, at a byte offset into the block that was scanned.
struct TextFault: Error, Equatable {
  enum Kind: Equatable {
    case invalidUTF8
    /// U+0000 does not occur in text; it does in UTF-16 and in binary files.
    case zeroByte
  }

  let kind: Kind
  let offset: Int
}

/// Takes the tokens of a text one by one, straight from the scanned block.
///
/// Conformers are structs and the scanners are generic, so that the inner loop is one function without calls.
protocol ScalarSink: ~Copyable {
  mutating func take(scalar: UInt32) throws
}

protocol WordSink: ~Copyable {
  /// `word` is only valid during the call; `hash` is ``WordHash`` over its bytes.
  mutating func take(word: Bytes, hash: UInt64) throws
  mutating func takeLineEnd() throws
}

/// FNV-1a: one multiplication per byte, computed while the scanner looks for the end of the word.
enum WordHash {
  static let seed: UInt64 = 0xCBF2_9CE4_8422_2325

  @inline(__always)
  static func adding(_ byte: UInt8, to hash: UInt64) -> UInt64 {
    (hash ^ UInt64(byte)) &* 0x100_0000_01B3
  }

  static func of(_ bytes: some Sequence<UInt8>) -> UInt64 {
    bytes.reduce(seed) { adding($1, to: $0) }
  }
}

/// Hands each Unicode scalar of `block` to `sink`.
///
/// - Parameter isLast: no bytes follow; a scalar cut off at the end is then a fault.
/// - Returns: the number of bytes used up; the rest is the beginning of a scalar, to be shown again with what follows.
func scanScalars(_ block: Bytes, isLast: Bool, into sink: inout some ScalarSink & ~Copyable) throws -> Int {
  var position = 0
  let end = block.count
  while position < end {
    let byte = block[position]
    if byte &- 1 < 0x7F {
      try sink.take(scalar: UInt32(byte))
      position += 1
      continue
    }
    if byte == 0 { throw TextFault(kind: .zeroByte, offset: position) }
    switch decodeMultibyteScalar(block, at: position) {
    case .scalar(let value, let length):
      try sink.take(scalar: value)
      position += length
    case .incomplete where !isLast:
      return position
    case .incomplete, .invalid:
      throw TextFault(kind: .invalidUTF8, offset: position)
    }
  }
  return position
}

/// Finds the words and line ends of one file, shown block by block.
///
/// A line ends at a line feed, a carriage return, or the two of them together, as in Python's universal newlines. The last
/// line also ends without any of them, as in Python's `for line in file`.
struct WordScanner {
  private var lastByte: UInt8 = 0x0A

  /// Hands each word and each line end of `block` to `sink`.
  ///
  /// - Parameter isLast: no bytes follow, so that the end of the block ends a word and a line.
  /// - Returns: the number of bytes used up; the rest is the beginning of a word or scalar.
  mutating func scan(_ block: Bytes, isLast: Bool, into sink: inout some WordSink & ~Copyable) throws -> Int {
    lastByte = block.last ?? lastByte
    let used = try scanWords(block, isLast: isLast, into: &sink)
    if isLast, lastByte != 0x0A, lastByte != 0x0D { try sink.takeLineEnd() }
    return used
  }
}

/// The words and line ends of `block`, without the rule on the last line.
func scanWords(_ block: Bytes, isLast: Bool, into sink: inout some WordSink & ~Copyable) throws -> Int {
  var position = 0
  var wordStart = 0
  var hash = WordHash.seed
  let end = block.count

  while position < end {
    let byte = block[position]
    if byte > 0x20, byte < 0x80 {
      hash = WordHash.adding(byte, to: hash)
      position += 1
      continue
    }
    var length = 1
    if byte >= 0x80 {
      switch decodeMultibyteScalar(block, at: position) {
      case .scalar(let value, let scalarLength):
        length = scalarLength
        guard isWideWhiteSpace(value) else {
          for index in position..<position + length { hash = WordHash.adding(block[index], to: hash) }
          position += length
          continue
        }
      case .incomplete where !isLast:
        return wordStart
      case .incomplete, .invalid:
        throw TextFault(kind: .invalidUTF8, offset: position)
      }
    } else if byte == 0 {
      throw TextFault(kind: .zeroByte, offset: position)
    } else if !isASCIIWhiteSpace(byte) {
      // The other control characters are part of words.
      hash = WordHash.adding(byte, to: hash)
      position += 1
      continue
    }
    if wordStart < position {
      try sink.take(word: Bytes(rebasing: block[wordStart..<position]), hash: hash)
      hash = WordHash.seed
    }
    if byte == 0x0D {
      // Whether a line feed belongs to it shows in the next block only.
      if position + 1 == end, !isLast { return position }
      if position + 1 < end, block[position + 1] == 0x0A { length = 2 }
      try sink.takeLineEnd()
    } else if byte == 0x0A {
      try sink.takeLineEnd()
    }
    position += length
    wordStart = position
  }
  guard isLast, wordStart < end else { return wordStart }
  try sink.take(word: Bytes(rebasing: block[wordStart...]), hash: hash)
  return end
}
