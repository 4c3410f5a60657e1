/// What `prepare` has made.
package struct PrepareReport: Sendable {
  /// nil until the corpus is complete.
  package internal(set) var manifest: CorpusManifest?
  package let output: String
  package internal(set) var elapsed = Duration.zero
  /// The names of the texts by split; of a text that is split by fractions all are in `train`.
  var texts: [Split: [String]] = [:]
  var emptyTexts: [String] = []
  /// How often a symbol occurs that a vocabulary from elsewhere lacks.
  var symbolsNotInVocabulary = 0
  private let recipe: CorpusRecipe

  init(_ recipe: CorpusRecipe, output: String) {
    (self.recipe, self.output) = (recipe, output)
  }

  /// The summary for a person, several lines.
  package var text: String {
    guard let manifest else { return "" }
    var lines = warnings(manifest).map { "warning: \($0)" }
    for split in Split.allCases { lines.append(line(split, manifest)) }
    if case .fractions = recipe.splitting { lines.append("from  \(Self.list(texts[.train] ?? []))") }
    let vocabulary = manifest.vocabulary
    lines.append("vocabulary  \(vocabulary.count) tokens (\(vocabulary.tokenizer))")
    if recipe.vocabulary != nil { lines.append("not in the vocabulary  \(unknownSymbols(manifest))") }
    lines.append("\(output) written in \(Self.hundredths(100 * (elapsed / .seconds(1)))) s")
    return lines.joined(separator: "\n")
  }

  private func line(_ split: Split, _ manifest: CorpusManifest) -> String {
    let name = "\(split)\(split == .test ? " " : "")"
    guard let table = manifest.splits[split] else { return "\(name)  none" }
    var line = "\(name)  \(table.tokens) tokens"
    line += " in \(table.shards.count) \(table.shards.count == 1 ? "shard" : "shards")"
    if manifest.vocabulary.unknown != nil {
      line += ", \(Self.percentage(table.unknownTokens, of: table.tokens)) <unk>"
    }
    if case .files = recipe.splitting { line += ", from \(Self.list(texts[split] ?? []))" }
    return line
  }

  private func unknownSymbols(_ manifest: CorpusManifest) -> String {
    let isDropped = recipe.unknownTreatment == .drop
    let tokens = manifest.splits.values.reduce(0) { $0 + $1.tokens } + (isDropped ? symbolsNotInVocabulary : 0)
    let share = Self.percentage(symbolsNotInVocabulary, of: tokens)
    return "\(symbolsNotInVocabulary) of \(tokens) symbols, \(share)\(isDropped ? ", left out" : "")"
  }

  private func warnings(_ manifest: CorpusManifest) -> [String] {
    var warnings = emptyTexts.prefix(10).map { "\($0): the file is empty" }
    if emptyTexts.count > 10 { warnings.append("\(emptyTexts.count - 10) more files are empty") }
    let unknown = manifest.splits.mapValues(\.unknownTokens)
    let others = (unknown[.valid] ?? 0) + (unknown[.test] ?? 0)
    if unknown[.train] == 0, others > 0 {
      warnings.append(
        "<unk> can't be learnt: the train split has none, the others have \(others); with --min-count 2 or a smaller "
          + "--vocabulary-size rare words of the train split become <unk> too")
    }
    return warnings
  }

  private static func list(_ names: [String]) -> String {
    let shown = names.prefix(4).joined(separator: ", ")
    return names.count > 4 ? "\(shown) and \(names.count - 4) more" : shown
  }

  private static func percentage(_ part: Int, of whole: Int) -> String {
    "\(hundredths(10_000 * Double(part) / Double(max(whole, 1)))) %"
  }

  private static func hundredths(_ value: Double) -> String {
    let whole = Int(value.rounded())
    let fraction = String(whole % 100)
    return "\(whole / 100).\(fraction.count == 1 ? "0" : "")\(fraction)"
  }
}
