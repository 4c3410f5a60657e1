import Corpus
import Failures
import Foundation
import Testing

/// A directory that is removed with its content when the test is done.
final class Scratch {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "corpus-tests-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String, _ bytes: [UInt8]) throws -> String {
    let file = "\(path)/\(name)"
    try Data(bytes).write(to: URL(fileURLWithPath: file))
    return file
  }

  func file(_ name: String, _ text: String) throws -> String { try file(name, Array(text.utf8)) }

  var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }

  /// Prepares `texts` with small blocks and chunks, so that small tests cross their boundaries.
  @discardableResult
  func prepare(
    _ texts: [String], splitting: CorpusRecipe.Splitting = .fractions(.standard), tokenizer: Tokenizer,
    size: Int? = nil, minimumCount: Int? = nil, shards: Int = 1, output: String = "corpus", force: Bool = false,
    blockBytes: Int = 7, chunkBytes: Int = 16, distinctWordLimit: Int = 1 << 26,
    didProgress: @escaping (PrepareProgress) throws -> Void = { _ in }
  ) throws -> CorpusReader {
    var recipe = try CorpusRecipe(
      texts: texts, splitting: splitting, tokenizer: tokenizer,
      limits: VocabularyLimits(size: size, minimumCount: minimumCount, for: tokenizer), shards: shards,
      output: "\(path)/\(output)", replacesOutput: force)
    recipe.blockBytes = blockBytes
    recipe.chunkBytes = chunkBytes
    recipe.distinctWordLimit = distinctWordLimit
    _ = try CorpusBuilder(recipe, didProgress: didProgress).run()
    return try CorpusReader(directory: "\(path)/\(output)")
  }
}

extension CorpusReader {
  func ids(_ split: Split) throws -> [Int32] {
    try ids(split, 0..<tokenCount(split))
  }

  func ids(_ split: Split, _ range: Range<Int>) throws -> [Int32] {
    var ids = [Int32](repeating: -7, count: range.count)
    try ids.withUnsafeMutableBufferPointer { try read(split, range, into: $0) }
    return ids
  }

  /// The whole token sequence, split after split.
  func allIDs() throws -> [Int32] { try Split.allCases.flatMap { try ids($0) } }
}

/// The message and exit status with which `body` fails.
func failure(of body: () throws -> some Any) -> (message: String, status: Failures.ExitStatus)? {
  do {
    _ = try body()
    return nil
  } catch let error as any ReportableError {
    return (error.description, error.exitStatus)
  } catch {
    return ("not reportable: \(error)", .done)
  }
}

/// Expects that `body` fails with a status and a message that holds each part.
func expectFailure(
  _ status: Failures.ExitStatus, _ parts: String..., location: SourceLocation = #_sourceLocation,
  body: () throws -> some Any
) {
  guard let failure = failure(of: body) else {
    Issue.record("no error was thrown", sourceLocation: location)
    return
  }
  #expect(failure.status == status, "\(failure.message)", sourceLocation: location)
  for part in parts { #expect(failure.message.contains(part), "\(failure.message)", sourceLocation: location) }
}

/// A small generator with a seed, for texts that are the same in every run (SplitMix64, Steele et al. 2014).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}

/// Text with scalars of every length, white space of every kind, canonical equivalents and line ends of both sorts.
func randomText(scalars count: Int, seed: UInt64) -> String {
  var generator = SeededGenerator(state: seed)
  let pieces: [String] = [
    "a", "b", "c", "the", "Z", "1", " ", " ", "  ", "\n", "\r\n", "\r", "\t", "\u{B}", "\u{C}", "\u{1}", "\u{7F}", "é",
    "e\u{301}",
    "ß", "\u{85}", "\u{A0}", "漢", "字", "\u{2003}", "\u{2028}", "\u{3000}", "\u{1680}", "\u{200B}", "\u{FFFD}", "😀",
    "\u{10FFFF}", "\u{D7FF}", "\u{E000}", "<unk>", "<eos>",
  ]
  var text = ""
  for _ in 0..<count { text.unicodeScalars.append(contentsOf: pieces.randomElement(using: &generator)!.unicodeScalars) }
  return text
}
