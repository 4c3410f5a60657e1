import TestSupport
import Testing

@Suite struct SyntaxErrorTests {
  private let hint = "; check the indentation, the colons and the brackets here and in the line before"

  @Test func aByteOrderMarkIsSkipped() throws {
    #expect(try load("\u{FEFF}" + minimal) == load(minimal))
    #expect(complaint("\u{FEFF}modle: {}\n").hasPrefix("c.yaml:1:1: "))
  }

  /// A few lines that would stand for 2^28 keys.
  @Test(.timeLimit(.minutes(1)))
  func keysAreWords() {
    var bomb = "a0: &a0 {x: y}\n"
    for level in 1...28 {
      bomb += "a\(level): &a\(level) {? [*a\(level - 1), *a\(level - 1)] : *a\(level - 1)}\n"
    }
    let refusal = "a key is not a word; write 'name: value'"
    #expect(complaint(bomb) == "c.yaml:2:12: \(refusal)")
    #expect(complaint("a: &a b\nmodel:\n  *a : 2\n") == "c.yaml:3:3: \(refusal)")
    #expect(complaint("model:\n  {layers: 1}: 2\n") == "c.yaml:2:3: \(refusal)")
    #expect(
      complaint("x: &m {layers: 2}\nmodel:\n  <<: *m\n")
        == "c.yaml:3:3: merge keys (<<) are not supported; write the keys out")
  }

  /// Aliases for values are not followed, however many.
  @Test(.timeLimit(.minutes(1)))
  func nestedAliasesTakeNoTime() {
    var bomb = "a0: &a0 [x, y]\n"
    for level in 1...40 { bomb += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
    #expect(complaint(bomb).hasPrefix("c.yaml:1:1: "))
  }

  @Test func brokenYAMLIsPlaced() {
    #expect(
      complaint("model:\n\tlayers: 2\n")
        == "c.yaml:2:1: not valid YAML: while scanning for the next token that began in line 2, "
        + "found character that cannot start any token" + hint)
    #expect(
      complaint("model: {layers: 2\n")
        == "c.yaml:2:1: not valid YAML: while parsing a flow mapping that began in line 1, "
        + "did not find expected ',' or '}'" + hint)
  }

  @Test func textWithoutSectionsIsRefused() {
    let empty = "there is no configuration in this file; start from one of the recipes in configs/"
    #expect(complaint("") == "c.yaml:1:1: \(empty)")
    #expect(complaint("# only a comment\n") == "c.yaml:1:1: \(empty)")
    #expect(
      complaint("just words\n")
        == "c.yaml:1:1: a configuration is a mapping of sections; write 'model:' and its keys below it")
    #expect(
      complaint("\n- model\n")
        == "c.yaml:2:1: a configuration is a mapping of sections; write 'model:' and its keys below it")
    #expect(
      complaint("model: 3\n") == "c.yaml:1:1: section 'model' has no keys; write its keys below it, or remove it")
  }

  @Test func duplicatesAreRefused() {
    #expect(
      complaint("model:\n  layers: 2\n  hidden_size: 8\n  layers: 3\n")
        == "c.yaml:2:3: 'layers' is given here and again below; keep one of them")
    #expect(
      complaint("model: {layers: 2}\ndata: {streams: 1}\nmodel: {layers: 3}\n")
        == "c.yaml:1:1: 'model' is given here and again below; keep one of them")
  }

  @Test func aSecondDocumentIsRefused() {
    #expect(
      complaint(minimal + "\n---\nmodel: {layers: 2}\n")
        == "c.yaml:9:1: a second YAML document begins; keep one document in a file")
  }

  @Test func controlCharactersAndUnknownAliasesAreRefused() {
    #expect(
      complaint("model:\n  cell: \u{1}\n")
        == "c.yaml:2:9: not a text file: control characters are not allowed; remove the character")
    #expect(complaint("model:\n  layers: *many\n") == "c.yaml:2:11: not valid YAML: found undefined alias")
  }

  /// Whatever stands in a file, loading answers with a message and never with a trap.
  @Test func damagedTextNeverTraps() {
    var generator = SeededGenerator(seed: 7)
    let characters = Array("mode:l{}[]&*!|>'\"%@`,?- \n\t#~0.5\u{0}é")
    for _ in 0..<2000 {
      var text = Array(minimal)
      for _ in 0..<Int.random(in: 1...6, using: &generator) {
        let position = Int.random(in: 0..<text.count, using: &generator)
        text[position] = characters.randomElement(using: &generator)!
      }
      let message = complaint(String(text))
      #expect(message == "no error" || message.hasPrefix("c.yaml:"), "\(message)")
    }
  }
  @Test(arguments: ["[", "- ", "{a: ", "? "])
  func deepNestingNeverTraps(opening: String) {
    #expect(complaint("model: " + String(repeating: opening, count: 100_000)).hasPrefix("c.yaml:"))
    #expect(complaint("model:\n " + String(repeating: opening, count: 900)).hasPrefix("c.yaml:"))
  }
}
