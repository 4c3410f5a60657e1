import Crypto
import Files

/// Computes what identifies a corpus by its content: the tokeniser, the vocabulary and the tokens of each split.
///
/// The digest is the SHA-256 of these lines, each ended by a line feed:
///
///     lockstep corpus content
///     tokenizer char
///     vocabulary COUNT UNKNOWN SHA-256
///     train COUNT SHA-256
///     valid COUNT SHA-256
///     test COUNT SHA-256
///
/// UNKNOWN is the id of `<unk>` or `none`. The vocabulary's SHA-256 covers each token's length in bytes, as a 32-bit
/// integer, and its UTF-8; a split's covers its token ids as 32-bit integers; both little-endian. A split without tokens
/// has no line. So the number of shards, paths, dates and the stored integer width make no difference.
struct ContentDigest {
  private var text: String
  private var split: (name: Split, count: Int, hash: SHA256)?

  init(_ vocabulary: Vocabulary) {
    var hash = SHA256()
    for token in vocabulary.tokens {
      withUnsafeBytes(of: UInt32(token.utf8.count).littleEndian) { hash.update(bufferPointer: $0) }
      var token = token
      token.withUTF8 { hash.update(bufferPointer: UnsafeRawBufferPointer($0)) }
    }
    text = """
      lockstep corpus content
      tokenizer \(vocabulary.tokenizer)
      vocabulary \(vocabulary.count) \(vocabulary.unknown.map { "\($0)" } ?? "none") \(hash.finalize().hexadecimal)

      """
  }

  /// Adds the next tokens; splits come one after the other, in the order of ``Split/allCases``.
  mutating func add(_ ids: UnsafeBufferPointer<Int32>, of name: Split) {
    guard !ids.isEmpty else { return }
    if split?.name != name {
      endSplit()
      split = (name, 0, SHA256())
    }
    split?.count += ids.count
    if Int32(1).littleEndian == 1 {
      split?.hash.update(bufferPointer: UnsafeRawBufferPointer(ids))
    } else {
      ids.map(\.littleEndian).withUnsafeBytes { split?.hash.update(bufferPointer: $0) }
    }
  }

  private mutating func endSplit() {
    guard let split else { return }
    text += "\(split.name) \(split.count) \(split.hash.finalize().hexadecimal)\n"
    self.split = nil
  }

  /// The digest, in lowercase hexadecimal digits.
  consuming func finish() -> String {
    endSplit()
    var hash = SHA256()
    text.withUTF8 { hash.update(bufferPointer: UnsafeRawBufferPointer($0)) }
    return hash.finalize().hexadecimal
  }
}

/// What is counted over all tokens of a corpus while they are written, or read for the first time.
struct ContentTally {
  private var digest: ContentDigest
  private let unknown: Int32?
  /// How often each token occurs in the train split.
  private(set) var trainCounts: [Int]
  private(set) var unknownTokens: [Split: Int] = [:]

  init(_ vocabulary: Vocabulary) {
    digest = ContentDigest(vocabulary)
    unknown = vocabulary.unknown
    trainCounts = Array(repeating: 0, count: vocabulary.count)
  }

  /// Adds the next tokens, whose ids are in the vocabulary; splits come in the order of ``Split/allCases``.
  mutating func add(_ ids: UnsafeBufferPointer<Int32>, of split: Split) {
    digest.add(ids, of: split)
    if split == .train {
      trainCounts.withUnsafeMutableBufferPointer { counts in
        for id in ids { counts[Int(id)] &+= 1 }
      }
    }
    if let unknown {
      unknownTokens[split, default: 0] += ids.reduce(0) { $0 + ($1 == unknown ? 1 : 0) }
    }
  }

  /// The content digest of the corpus.
  consuming func finish() -> String { digest.finish() }
}
