import Models
import TestSupport
import Testing

/// Models from stored arrays.
@Suite struct StoredModelTests {
  private func trained() throws -> NGramModel {
    try NGramModel(
      training: NGramModelTests.skewedText(count: 300, vocabularySize: 8, seed: 3), order: 3, vocabularySize: 8)
  }

  @Test func theTablesAreTheWholeModel() throws {
    let model = try trained()
    let loaded = try NGramModel(vocabularySize: 8, tables: model.tables)
    #expect(loaded.discounts == model.discounts)
    let split = NGramModelTests.skewedText(count: 100, vocabularySize: 8, seed: 4)
    #expect(try loaded.logProbabilities(of: split) == model.logProbabilities(of: split))
  }

  @Test func contradictoryArraysAreRefused() throws {
    let tables = try trained().tables
    func refuses(_ part: String, vocabularySize: Int = 8, _ change: (inout [NGramTable]) -> Void) {
      var tables = tables
      change(&tables)
      let error = #expect(throws: NGramError.self) {
        try NGramModel(vocabularySize: vocabularySize, tables: tables)
      }
      #expect(error?.description.contains(part) == true, "\(String(describing: error))")
    }
    refuses("0 tables") { $0 = [] }
    refuses("6 tables") { $0 += $0 }
    refuses("a vocabulary of 0", vocabularySize: 0) { _ in }
    refuses("a vocabulary of", vocabularySize: Int.max) { _ in }
    refuses("n-grams of length 1: a token is outside the vocabulary of 4", vocabularySize: 4) { _ in }
    refuses("length 2: a token is outside") { $0[1].tokens[0] = -1 }
    refuses("length 3: a token is outside") { $0[2].tokens[7] = 8 }
    refuses("do not ascend") { $0[1].tokens[1] = $0[1].tokens[0] }
    refuses("a count is below 1") { $0[2].counts[5] = 0 }
    refuses("a count is below 1") { $0[0].counts[0] = .min }
    refuses("counts for") { $0[2].counts.removeLast() }
    refuses("starts for") { $0[2].starts.removeLast() }
    refuses("starts for") { $0[1].starts = [] }
    refuses("starts for") { $0.remove(at: 1) }
    refuses("the starts do not reach") { $0[1].starts[0] = 1 }
    refuses("the starts do not reach") { $0[1].starts[$0[1].starts.count - 1] -= 1 }
    refuses("the starts descend") { $0[2].starts[3] = .max }
    refuses("the starts descend") { $0[2].starts[3] = -1 }
    refuses("no unigrams") { $0 = [NGramTable(starts: [0, 0], tokens: [], counts: [])] }
  }

  /// Whatever the arrays hold, they are refused or describe a distribution.
  @Test func damagedArraysDoNoHarm() throws {
    let tables = try trained().tables
    let values: [Int32] = [.min, -1, 0, 1, 2, 3, 4, 7, 8, 100, .max]
    var generator = SeededGenerator(seed: 6)
    var accepted = 0
    for _ in 0..<2000 {
      var damaged = tables
      let length = Int.random(in: 0..<3, using: &generator)
      let arrays = [\NGramTable.starts, \NGramTable.tokens, \NGramTable.counts]
      let array = arrays.randomElement(using: &generator) ?? arrays[0]
      let index = damaged[length][keyPath: array].indices.randomElement(using: &generator) ?? 0
      damaged[length][keyPath: array][index] = values.randomElement(using: &generator) ?? 0
      guard let model = try? NGramModel(vocabularySize: 8, tables: damaged) else { continue }
      accepted += 1
      let context = (0..<2).map { _ in Int32.random(in: 0..<8, using: &generator) }
      let probabilities = (0..<8).map { model.probability(of: $0, after: context) }
      #expect(probabilities.allSatisfy { $0 > 0 } && abs(probabilities.reduce(0, +) - 1) < 1e-9)
    }
    #expect(accepted > 0 && accepted < 2000)
  }
}
