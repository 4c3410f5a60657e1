import Parameters

/// Where encoded tokens go, in blocks.
protocol TokenOutput: AnyObject {
  func append(_ ids: UnsafeBufferPointer<Int32>) throws
}

/// Collects ids and passes them on in blocks, so that the encoders' inner loop has nothing but a store.
struct TokenBuffer: ~Copyable {
  private let memory: Buffer<Int32>
  // Stores through the object instead make `prepare` a third slower.
  private let ids: UnsafeMutableBufferPointer<Int32>
  private var count = 0
  private let output: any TokenOutput

  init(capacity: Int, output: any TokenOutput) {
    precondition(capacity > 0)
    memory = Buffer(repeating: 0, count: capacity)
    ids = memory.values
    self.output = output
  }

  @inline(__always)
  mutating func append(_ id: Int32) throws {
    if count == ids.count { try flush() }
    ids[count] = id
    count += 1
  }

  mutating func flush() throws {
    try output.append(UnsafeBufferPointer(rebasing: ids[..<count]))
    count = 0
  }
}

/// Passes bytes on as ids.
struct ByteEncoder: ~Copyable {
  var buffer: TokenBuffer

  init(buffer: consuming TokenBuffer) { self.buffer = buffer }

  mutating func take(_ block: Bytes) throws -> Int {
    for byte in block { try buffer.append(Int32(byte)) }
    return block.count
  }
}

/// Turns scalars into ids.
struct ScalarEncoder: ScalarSink, ~Copyable {
  private let ids: [Int32]  // by code point; −1 where the vocabulary lacks it
  private(set) var rule: UnknownRule
  var buffer: TokenBuffer

  init(vocabulary: Vocabulary, rule: UnknownRule, buffer: consuming TokenBuffer) {
    var ids = [Int32](repeating: -1, count: 0x110000)
    for (id, token) in zip(Int32(0)..., vocabulary.tokens) where id != vocabulary.unknown {
      if let scalar = token.unicodeScalars.first { ids[Int(scalar.value)] = id }
    }
    self.ids = ids
    self.rule = rule
    self.buffer = buffer
  }

  @inline(__always)
  mutating func take(scalar: UInt32) throws {
    let id = ids[Int(scalar)]
    if id >= 0 {
      try buffer.append(id)
    } else {
      try takeUnknown(scalar)
    }
  }

  private mutating func takeUnknown(_ value: UInt32) throws {
    if let id = try rule.id(of: Self.description(of: value)) { try buffer.append(id) }
  }

  private static func description(of value: UInt32) -> String {
    "the character '\(Unicode.Scalar(value).map(String.init) ?? "")' (U+\(String(value, radix: 16, uppercase: true)))"
  }
}

/// Turns words and line ends into ids.
struct WordEncoder: WordSink, ~Copyable {
  private let vocabulary: Vocabulary
  private let endOfSentence: Int32
  private(set) var rule: UnknownRule
  var buffer: TokenBuffer

  init(vocabulary: Vocabulary, rule: UnknownRule, buffer: consuming TokenBuffer) {
    self.vocabulary = vocabulary
    endOfSentence = vocabulary.endOfSentence ?? 0
    self.rule = rule
    self.buffer = buffer
  }

  @inline(__always)
  mutating func take(word: Bytes, hash: UInt64) throws {
    if let index = vocabulary.wordIDs.find(word, hash: hash) {
      try buffer.append(Int32(truncatingIfNeeded: vocabulary.wordIDs.value(at: index)))
    } else if let id = try rule.id(of: "the word '\(String(decoding: word.prefix(80), as: UTF8.self))'") {
      try buffer.append(id)
    }
  }

  @inline(__always)
  mutating func takeLineEnd() throws {
    try buffer.append(endOfSentence)
  }
}

/// Counts the tokens that a text becomes.
final class TokenCount: TokenOutput {
  private(set) var count = 0

  func append(_ ids: UnsafeBufferPointer<Int32>) { count += ids.count }
}
