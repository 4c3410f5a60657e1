import Models
import Testing

@Suite struct EntityLabelsTests {
  private let labels = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]

  private func entities(_ text: String) throws -> [String] {
    let found = try #require(EntityLabels(labels))
    let ids = text.split(separator: " ").map { Int32(labels.firstIndex(of: String($0)) ?? -1) }
    return found.entities(ids).map { "\($0.type) \($0.tokens)" }
  }

  /// The cases of conlleval's rules for where a chunk begins and ends.
  @Test func entitiesBeginAndEndAsInConlleval() throws {
    #expect(try entities("") == [])
    #expect(try entities("O O") == [])
    #expect(try entities("B-PER I-PER O B-LOC") == ["PER 0..<2", "LOC 3..<4"])
    #expect(try entities("B-PER B-PER I-PER") == ["PER 0..<1", "PER 1..<3"])
    #expect(try entities("O I-PER I-PER O") == ["PER 1..<3"])
    #expect(try entities("B-PER I-LOC I-LOC") == ["PER 0..<1", "LOC 1..<3"])
    #expect(try entities("I-LOC I-PER B-PER") == ["LOC 0..<1", "PER 1..<2", "PER 2..<3"])
    #expect(try entities("O B-LOC I-LOC") == ["LOC 1..<3"])
  }

  @Test func otherLabelsMarkNoEntities() {
    #expect(EntityLabels(["NOUN", "VERB"]) == nil)
    #expect(EntityLabels(["O"]) == nil)
    #expect(EntityLabels(["O", "B-PER", "PER"]) == nil)
    #expect(EntityLabels(["B-PER"]) != nil)
  }
}
