import Failures

extension Vocabulary {
  /// The ids of `text`, by the same scanners as a corpus.
  ///
  /// Unlike the last line of a file, a last line without a line end gets no `<eos>`: a prompt continues where it stops.
  /// - Throws: ``Failure`` (usage) that names the first token that is not in the vocabulary where there is no `<unk>`.
  package func encode(_ text: String) throws -> [Int32] {
    var text = text
    return try text.withUTF8 { bytes in
      switch tokenizer {
      case .byte:
        return bytes.map(Int32.init)
      case .char:
        var sink = PromptScalars(vocabulary: self)
        _ = try Self.reportingFaults { try scanScalars(bytes, isLast: true, into: &sink) }
        return sink.ids
      case .word:
        var sink = PromptWords(vocabulary: self)
        _ = try Self.reportingFaults { try scanWords(bytes, isLast: true, into: &sink) }
        return sink.ids
      }
    }
  }

  /// The text of `ids`: words are set apart by a space, and `<eos>` is a line end.
  ///
  /// Bytes that are not UTF-8 become U+FFFD. An id outside the vocabulary is a programmer's mistake.
  package func decode(_ ids: some Sequence<Int32>) -> String {
    var bytes: [UInt8] = []
    for id in ids {
      if tokenizer == .word, let last = bytes.last, last != 0x0A, id != endOfSentence { bytes.append(0x20) }
      appendBytes(of: id, to: &bytes)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Appends what one token stands for, without the space between words.
  package func appendBytes(of id: Int32, to bytes: inout [UInt8]) {
    precondition(tokens.indices.contains(Int(id)), "token id \(id) is not in a vocabulary of \(count)")
    if tokenizer == .byte {
      bytes.append(UInt8(id))
    } else if id == endOfSentence {
      bytes.append(0x0A)
    } else {
      bytes.append(contentsOf: tokens[Int(id)].utf8)
    }
  }

  private static func reportingFaults<R>(_ body: () throws -> R) throws -> R {
    do {
      return try body()
    } catch is TextFault {
      // A Swift String is always valid UTF-8, so the only fault left is U+0000.
      throw Failure(.usage, "the text holds a zero byte")
    }
  }
}

private struct PromptScalars: ScalarSink {
  let vocabulary: Vocabulary
  var ids: [Int32] = []

  mutating func take(scalar: UInt32) throws {
    guard let scalar = Unicode.Scalar(scalar) else { preconditionFailure("the scanner passed a surrogate") }
    guard let id = vocabulary.id(of: scalar) ?? vocabulary.unknown else {
      let codePoint = String(scalar.value, radix: 16, uppercase: true)
      throw Failure(
        .usage, "the character '\(scalar)' (U+\(codePoint)) is not in the vocabulary, which has no <unk>",
        remedy: "use only characters of the training text")
    }
    ids.append(id)
  }
}

private struct PromptWords: WordSink {
  let vocabulary: Vocabulary
  var ids: [Int32] = []

  mutating func take(word: Bytes, hash: UInt64) {
    ids.append(vocabulary.wordID(of: word, hash: hash))
  }

  mutating func takeLineEnd() {
    ids.append(vocabulary.endOfSentence ?? 0)
  }
}

extension Vocabulary {
  /// The id of a word, or that of `<unk>`.
  @inline(__always)
  func wordID(of word: Bytes, hash: UInt64) -> Int32 {
    guard let index = wordIDs.find(word, hash: hash) else { return unknown ?? 0 }
    return Int32(truncatingIfNeeded: wordIDs.value(at: index))
  }
}
