import Failures
import Files
import Foundation

/// Labelled sentences of a text in the columns of CoNLL: a token per line, an empty line after each sentence.
///
/// Columns are set apart by tabs where a line has one, so that words may hold blanks, and else by runs of white space. A
/// line that begins with `#` and has no tab is a comment. Ranges and empty nodes of CoNLL-U, whose number is `3-4` or
/// `5.1`, are left out.
struct ColumnText {
  /// Which columns hold the word and the label, from 1; nil for the first and the last.
  struct Columns: Equatable, Sendable {
    let form: Int
    let label: Int

    /// Reads `FORM:LABEL`.
    /// - Throws: ``Failure`` (usage).
    init(parsing text: String) throws {
      let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
      guard parts.count == 2, let form = parts[0], let label = parts[1], form > 0, label > 0, form != label else {
        throw Failure(
          .usage, "'\(text)' is not two columns", at: "--columns",
          remedy: "give FORM:LABEL, such as 2:4, counted from 1")
      }
      (self.form, self.label) = (form, label)
    }
  }

  /// A sentence, and the line of the file that it begins in.
  struct Sentence {
    var forms: [String] = []
    var labels: [String] = []
    var lines: [Int] = []
  }

  private(set) var sentences: [Sentence] = []
  /// Lines that were taken for comments though they stand inside of a sentence and have as many columns as the line
  /// before them.
  private(set) var doubtfulComments: [Int] = []
  private var columnsBefore = 0
  let name: String
  private let columns: Columns?

  /// - Throws: ``Failure`` (bad data) with file and line.
  init(path: String, columns: Columns?, willContinue: () throws -> Void) throws {
    (name, self.columns) = (path, columns)
    _ = try TextFile(path: path)
    let file = try PosixFile(path)
    var bytes = try file.read(file.size(), at: 0)[...]
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes = bytes.dropFirst(3) }
    var sentence = Sentence()
    for (index, line) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
      if index % 1024 == 0 { try willContinue() }
      try read(line.last == 0x0D ? line.dropLast() : line, line: index + 1, &sentence)
    }
    if !sentence.forms.isEmpty { sentences.append(sentence) }
  }

  private mutating func read(_ bytes: ArraySlice<UInt8>, line number: Int, _ sentence: inout Sentence) throws {
    guard let line = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
      throw failure("is not valid UTF-8 text", line: number, remedy: "convert the file, as with iconv -t UTF-8")
    }
    let isTabbed = line.contains("\t")
    if line.allSatisfy(\.isWhitespace) {
      if !sentence.forms.isEmpty { sentences.append(sentence) }
      sentence = Sentence()
      return
    }
    let fields =
      isTabbed
      ? line.split(separator: "\t", omittingEmptySubsequences: false) : line.split(whereSeparator: \.isWhitespace)
    if line.hasPrefix("#"), !isTabbed {
      if !sentence.forms.isEmpty, fields.count == columnsBefore { doubtfulComments.append(number) }
      return
    }
    columnsBefore = fields.count
    let (form, label) = (columns?.form ?? 1, columns?.label ?? max(2, fields.count))
    if form != 1, fields[0].isNumberOfNoWord { return }
    guard fields.count >= max(form, label) else {
      throw failure(
        "has \(fields.count == 1 ? "1 column" : "\(fields.count) columns"), and column \(max(form, label)) is needed",
        line: number, remedy: "separate columns by tabs or blanks, and name word and label with --columns FORM:LABEL")
    }
    for column in [form, label] where fields[column - 1].allSatisfy(\.isWhitespace) {
      throw failure("has nothing in column \(column)", line: number, remedy: "give each word a label")
    }
    sentence.forms.append(String(fields[form - 1]))
    sentence.labels.append(String(fields[label - 1]))
    sentence.lines.append(number)
  }

  /// A warning about text that is probably meant otherwise; nil where there is none.
  var warning: String? {
    if columns == nil, !sentences.isEmpty, sentences.allSatisfy({ $0.forms[0] == "1" }) {
      return "\(name): each sentence begins with the word '1', which is a number of CoNLL-U: give --columns 2:4"
    }
    guard let line = doubtfulComments.first else { return nil }
    let others = doubtfulComments.count == 1 ? "" : ", and \(doubtfulComments.count - 1) more like it,"
    return "\(name):\(line): this line\(others) is taken for a comment; where # is a word, separate columns by tabs"
  }

  private func failure(_ what: String, line: Int, remedy: String) -> Failure {
    Failure(.badData, what, at: "\(name):\(line)", remedy: remedy)
  }
}

extension Substring {
  /// Whether this is the number of a range of words, `3-4`, or of an empty node, `5.1`, in CoNLL-U.
  fileprivate var isNumberOfNoWord: Bool { wholeMatch(of: #/[0-9]+[-.][0-9]+/#) != nil }
}
