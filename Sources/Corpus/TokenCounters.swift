import Failures

/// Counts each scalar.
struct ScalarCounter: ScalarSink {
  /// By code point: 9 MB, whatever the text.
  private(set) var counts = [Int](repeating: 0, count: 0x110000)
  /// The scalars that occur, in the order of their first occurrence.
  private(set) var found: [Int] = []
  private(set) var total = 0

  @inline(__always)
  mutating func take(scalar: UInt32) {
    let index = Int(scalar)
    if counts[index] == 0 { found.append(index) }
    counts[index] &+= 1
    total &+= 1
  }
}

/// Counts all tokens, and each word among the first `limit` tokens.
struct WordCounter: WordSink {
  private(set) var table = WordTable()
  private(set) var tokens = 0
  var limit: Int
  /// At which number of different words the text is refused; the table is the one thing that grows with the text.
  let distinctLimit: Int

  init(limit: Int, distinctLimit: Int) {
    (self.limit, self.distinctLimit) = (limit, distinctLimit)
  }

  @inline(__always)
  mutating func take(word: Bytes, hash: UInt64) throws {
    tokens += 1
    guard tokens <= limit else { return }
    if let index = table.find(word, hash: hash) {
      table.increment(at: index)
    } else {
      guard table.count < distinctLimit else {
        throw Failure(
          .badData, "more than \(distinctLimit) different words",
          remedy: "this does not look like words; use '--tokenizer char' or '--tokenizer byte'")
      }
      _ = table.insert(word, hash: hash, value: 1)
    }
  }

  @inline(__always)
  mutating func takeLineEnd() {
    tokens += 1
  }
}
