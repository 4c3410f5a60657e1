import Corpus
import Foundation
import TestSupport
import Testing

/// Every way in which `prepare` refuses: the message, the exit status, and that nothing is left behind.
@Suite struct PrepareErrorTests {
  /// Expects a failure, and that the directory holds the same names before and after.
  private func expectRefusal(
    _ directory: TemporaryDirectory, _ status: Int32, _ parts: [String], location: SourceLocation = #_sourceLocation,
    _ body: () throws -> CorpusReader
  ) {
    let before = directory.names
    guard let failure = failure(of: body) else {
      Issue.record("no error was thrown", sourceLocation: location)
      return
    }
    #expect(failure.status.rawValue == status, "\(failure.message)", sourceLocation: location)
    for part in parts { #expect(failure.message.contains(part), "\(failure.message)", sourceLocation: location) }
    #expect(directory.names == before, sourceLocation: location)
  }

  @Test(
    arguments: [
      ([0x61, 0x62, 0xFF, 0x63], 2), ([0xC0, 0x80], 0), ([0x61, 0xE0, 0x80, 0x80], 1), ([0xED, 0xA0, 0x80], 0),
      ([0xF4, 0x90, 0x80, 0x80], 0), ([0x61, 0xC3], 1), ([0x61, 0xF0, 0x9F, 0x98], 1), ([0x61, 0x80], 1),
      ([0xEF, 0xBB, 0xBF, 0x61, 0xC3, 0x28], 4), ([0x61, 0x20, 0x62, 0xE6, 0xBC, 0x20], 3),
    ] as [([UInt8], Int)], [1, 2, 3, 1000])
  func invalidUTF8IsRefusedWithItsOffset(sample: ([UInt8], Int), blockBytes: Int) throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", sample.0)
    for tokenizer in [Tokenizer.char, .word] {
      expectRefusal(directory, 65, ["\(text): not valid UTF-8 at byte \(sample.1) (line 1);", "--tokenizer byte"]) {
        try directory.prepare([text], tokenizer: tokenizer, blockBytes: blockBytes)
      }
    }
  }

  @Test func zeroBytesAreRefused() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", [0x61, 0x62, 0x00])
    for tokenizer in [Tokenizer.char, .word] {
      expectRefusal(directory, 65, ["a zero byte at byte 2 (line 1)", "UTF-16"]) {
        try directory.prepare([text], tokenizer: tokenizer)
      }
    }
  }

  @Test func theLineIsNamedToo() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", Array("one\ntwo\nth".utf8) + [0xFF, 0x0A])
    expectRefusal(directory, 65, ["a.txt: not valid UTF-8 at byte 10 (line 3);"]) {
      try directory.prepare([text], tokenizer: .char)
    }
  }

  @Test(arguments: Tokenizer.allCases) func compressedTextsAreRefusedByName(tokenizer: Tokenizer) throws {
    let directory = try TemporaryDirectory()
    for (name, bytes) in [
      ("gzip", [0x1F, 0x8B, 8, 0, 1, 2, 3, 4]), ("zip", [0x50, 0x4B, 3, 4, 20, 0]),
      ("xz", [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0, 1]), ("Zstandard", [0x28, 0xB5, 0x2F, 0xFD, 1]),
      ("bzip2", Array("BZh9".utf8) + [0x31, 0x41, 0x59, 0x26, 0x53, 0x59]),
    ] as [(String, [UInt8])] {
      let text = try directory.file("a.\(name)", bytes)
      expectRefusal(directory, 65, ["a.\(name): is compressed with \(name), from byte 0 (line 1)", "prepare -"]) {
        try directory.prepare([text], tokenizer: tokenizer)
      }
    }
    // Letters are no proof.
    let text = try directory.file("b.txt", "BZh9 is how such files begin, and PK as well, some of them")
    let reader = try directory.prepare([text], splitting: .files(valid: [text], test: [text]), tokenizer: tokenizer)
    #expect(try !reader.allIDs().isEmpty)
  }

  @Test func anEmptyFileAmongOthersIsAWarning() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", "some words\n")
    var texts: [String] = []
    for number in 0..<12 { texts.append(try directory.file("empty-\(number).txt", "")) }
    for tokenizer in Tokenizer.allCases {
      let recipe = try CorpusRecipe(
        texts: texts + [text], splitting: .files(valid: [text], test: [text]), tokenizer: tokenizer,
        output: "\(directory.path)/\(tokenizer)")
      let report = try CorpusBuilder(recipe).run().text
      #expect(report.contains("warning: \(directory.path)/empty-0.txt: the file is empty\n"))
      #expect(report.contains("warning: 2 more files are empty\n"))
      let alone = try directory.prepare(
        [text], splitting: .files(valid: [text], test: [text]), tokenizer: tokenizer, output: "alone-\(tokenizer)")
      #expect(try CorpusReader(directory: recipe.output).contentDigest() == alone.contentDigest())
    }
    expectRefusal(directory, 65, ["empty-0.txt: all 12 files are empty"]) {
      try directory.prepare(texts, tokenizer: .char, output: "none")
    }
    expectRefusal(directory, 65, ["the valid split ends up with 0 tokens"]) {
      try directory.prepare(
        [text], splitting: .files(valid: [texts[0]], test: [text]), tokenizer: .char, output: "none")
    }
  }

  @Test func unreadableTextsAreRefused() throws {
    let directory = try TemporaryDirectory()
    expectRefusal(directory, 65, ["missing.txt: can't open the file: No such file or directory"]) {
      try directory.prepare(["\(directory.path)/missing.txt"], tokenizer: .char)
    }
    expectRefusal(directory, 65, ["\(directory.path): is a directory"]) {
      try directory.prepare([directory.path], tokenizer: .char)
    }
    expectRefusal(directory, 65, ["/dev/null: is not a regular file"]) {
      try directory.prepare(["/dev/null"], tokenizer: .byte)
    }
    let empty = try directory.file("empty.txt", "")
    expectRefusal(directory, 65, ["empty.txt: the file is empty"]) { try directory.prepare([empty], tokenizer: .byte) }
    let mark = try directory.file("mark.txt", "\u{FEFF}")
    for tokenizer in [Tokenizer.char, .word] {
      expectRefusal(directory, 65, ["mark.txt: the text holds no tokens"]) {
        try directory.prepare([mark], tokenizer: tokenizer)
      }
    }
    let blank = try directory.file("blank.txt", "\n \n\n\n")
    let all = CorpusRecipe.Splitting.files(valid: [blank], test: [blank])
    expectRefusal(directory, 65, ["the train text holds no word"]) {
      try directory.prepare([blank], splitting: all, tokenizer: .word)
    }
  }

  @Test func splitsThatAreTooShortAreRefused() throws {
    let directory = try TemporaryDirectory()
    let short = try directory.file("short.txt", "abcdefghij")
    expectRefusal(directory, 65, ["the valid split ends up with 0 tokens", "--split"]) {
      try directory.prepare([short], tokenizer: .char)
    }
    let one = try directory.file("one.txt", "a")
    expectRefusal(directory, 65, ["the test split ends up with 1 token,"]) {
      try directory.prepare([short], splitting: .files(valid: [short], test: [one]), tokenizer: .char)
    }
  }

  @Test func shardsAreChecked() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", "abcdefghij")
    let all = CorpusRecipe.Splitting.files(valid: [text], test: [text])
    expectRefusal(directory, 64, ["--shards: 0 is below 1"]) {
      try directory.prepare([text], splitting: all, tokenizer: .char, shards: 0)
    }
    expectRefusal(directory, 64, ["--shards: 11 shards are more than the 10 tokens of the train split"]) {
      try directory.prepare([text], splitting: all, tokenizer: .char, shards: 11)
    }
    #expect(try directory.prepare([text], splitting: all, tokenizer: .char, shards: 10).ids(.train) == Array(0..<10))
  }

  @Test func vocabulariesThatDoNotFitAreRefused() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", "a b c d e f\n")
    let all = CorpusRecipe.Splitting.files(valid: [text], test: [text])
    expectRefusal(directory, 65, ["no word occurs 2 times", "--min-count"]) {
      try directory.prepare([text], splitting: all, tokenizer: .word, minimumCount: 2)
    }
    expectRefusal(directory, 65, ["no character occurs 99 times", "--min-count"]) {
      try directory.prepare([text], splitting: all, tokenizer: .char, minimumCount: 99)
    }
    expectRefusal(directory, 65, ["more than 5 different words", "--tokenizer char"]) {
      try directory.prepare([text], splitting: all, tokenizer: .word, distinctWordLimit: 5)
    }
    let endless = try directory.file("endless.txt", "ab " + String(repeating: "x", count: (1 << 20) + 1))
    expectRefusal(directory, 65, ["endless.txt: a word of 1048576 bytes or more begins at byte 3 (line 1)"]) {
      try directory.prepare([endless], splitting: all, tokenizer: .word)
    }
  }

  @Test func theOutputIsNeverOverwrittenUnasked() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", randomText(scalars: 200, seed: 1))
    let first = try directory.prepare([text], tokenizer: .byte).allIDs()
    expectRefusal(directory, 73, ["corpus: exists already", "--force"]) {
      try directory.prepare([text], tokenizer: .char)
    }
    expectRefusal(directory, 73, ["corpus: exists already"]) {
      try directory.prepare([text], tokenizer: .char, output: "corpus//")
    }
    #expect(try CorpusReader(directory: "\(directory.path)/corpus").allIDs() == first)
    #expect(try directory.prepare([text], tokenizer: .char, force: true).vocabulary.tokenizer == .char)
    #expect(directory.names == ["a.txt", "corpus"])

    // What is not a corpus is not replaced either way.
    try FileManager.default.createDirectory(atPath: "\(directory.path)/precious", withIntermediateDirectories: true)
    expectRefusal(directory, 73, ["is not a corpus"]) {
      try directory.prepare([text], tokenizer: .char, output: "precious", force: true)
    }
    expectRefusal(directory, 73, ["exists already"]) {
      try directory.prepare([text], tokenizer: .char, output: "a.txt")
    }
  }

  @Test func anOutputThatCannotBeMadeIsRefused() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", "some text that is long enough to be split")
    expectRefusal(directory, 73, ["below: can't create the output directory: Not a directory"]) {
      try directory.prepare([text], tokenizer: .byte, output: "a.txt/below")
    }
    expectRefusal(directory, 64, ["--output: the name is empty"]) {
      _ = try CorpusRecipe(texts: [text], splitting: .fractions(.standard), tokenizer: .byte, output: "")
      return try CorpusReader(directory: "")
    }
    #expect(try !directory.prepare([text], tokenizer: .byte, output: "new/parents/corpus").allIDs().isEmpty)
  }

  @Test func aFailureHalfWayLeavesTheOldCorpus() throws {
    let directory = try TemporaryDirectory()
    struct Stopped: Error {}
    let text = try directory.file("a.txt", randomText(scalars: 300, seed: 2))
    let old = try directory.prepare([text], tokenizer: .byte).allIDs()
    for force in [false, true] {
      var staged: [String] = []
      #expect(throws: Stopped.self) {
        try directory.prepare(
          [text], tokenizer: .word, output: force ? "corpus" : "other", force: force,
          didProgress: { progress in
            guard progress.stage == .encoding, progress.bytesDone > progress.bytesTotal / 2 else { return }
            staged = directory.names
            throw Stopped()
          })
      }
      // While it is being made it has a name that nobody takes for a corpus.
      #expect(staged.filter { $0.hasPrefix(".") && $0.contains(".partial-") && !$0.hasSuffix(".lock") }.count == 1)
      #expect(directory.names == ["a.txt", "corpus"])
    }
    #expect(try CorpusReader(directory: "\(directory.path)/corpus").allIDs() == old)
  }

  /// What happens to a text between two passes.
  enum Change: CaseIterable { case grows, shrinks, keepsItsSize, keepsSizeAndDate }

  @Test(arguments: Tokenizer.allCases, Change.allCases)
  func aTextThatChangesMeanwhileIsNoticed(tokenizer: Tokenizer, change: Change) throws {
    // The byte tokeniser reads a text once, so that nothing can have been counted of another one.
    if tokenizer == .byte, change == .keepsItsSize || change == .keepsSizeAndDate { return }
    let directory = try TemporaryDirectory()
    let content = Array(String(repeating: "some words\n", count: 40).utf8)
    let text = try directory.file("a.txt", content)
    var isChanged = false
    expectRefusal(directory, 65, ["the text changed while it was read"]) {
      try directory.prepare([text], tokenizer: tokenizer) { progress in
        guard progress.stage == .encoding, !isChanged else { return }
        isChanged = true
        var status = stat()
        #expect(stat(text, &status) == 0)
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: text))
        switch change {
        case .grows:
          try handle.seekToEnd()
          try handle.write(contentsOf: Data(" and more".utf8))
        case .shrinks: try handle.truncate(atOffset: 8)
        case .keepsItsSize, .keepsSizeAndDate:
          // Words and characters that were counted, so that the bytes alone tell.
          try handle.seek(toOffset: 396)
          try handle.write(contentsOf: Data("words some".utf8))
        }
        try handle.close()
        if change == .keepsSizeAndDate {
          #expect(utimensat(AT_FDCWD, text, [status.st_atim, status.st_mtim], 0) == 0)
        }
      }
    }
  }
}
