import Glibc
import Models
import ReferenceModels
import TestSupport
import Testing

@Suite struct NGramModelTests {
  /// A text in which low ids are frequent and high ids rare, as words are.
  static func skewedText(count: Int, vocabularySize: Int, seed: UInt64) -> [Int32] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in
      Int32(pow(Double.random(in: 0..<1, using: &generator), 4) * Double(vocabularySize))
    }
  }

  @Test(arguments: NGramModel.orders, [1, 2, 3, 7, 60, 2000])
  func agreesWithTheNaiveTwin(order: Int, count: Int) throws {
    let text = Self.skewedText(count: count, vocabularySize: 12, seed: UInt64(count))
    // Two tokens of the vocabulary never occur.
    let model = try NGramModel(training: text, order: order, vocabularySize: 14)
    let twin = NaiveKneserNey(training: text, order: order, vocabularySize: 14)
    let contexts = (0..<6).map { Self.skewedText(count: $0, vocabularySize: 14, seed: 5) } + [Array(text.suffix(4))]
    for context in contexts {
      var sum = 0.0
      for token in Int32(0)..<14 {
        let probability = model.probability(of: token, after: context)
        #expect(abs(probability - twin.probability(of: token, after: context)) < 1e-12)
        #expect(probability > 0)
        sum += probability
      }
      #expect(abs(sum - 1) < 1e-12)
    }
  }

  @Test(arguments: NGramModel.orders)
  func scoresEachTokenAfterThoseBeforeIt(order: Int) throws {
    let text = Self.skewedText(count: 500, vocabularySize: 9, seed: 1)
    let split = Self.skewedText(count: 40, vocabularySize: 10, seed: 2)
    let model = try NGramModel(training: text, order: order, vocabularySize: 10)
    let logProbabilities = try model.logProbabilities(of: split)
    #expect(logProbabilities.count == 39)
    #expect(try model.logProbabilities(of: [3]) == [] && model.logProbabilities(of: []) == [])
    let twin = NaiveKneserNey(training: text, order: order, vocabularySize: 10)
    for (index, logProbability) in logProbabilities.enumerated() {
      let probability = twin.probability(of: split[index + 1], after: Array(split[...index]))
      #expect(abs(logProbability - log(probability)) < 1e-12)
    }
  }

  @Test func agreesWithTheNaiveTwinOnEstimatedDiscounts() throws {
    let text = Self.skewedText(count: 2000, vocabularySize: 300, seed: 1)
    let model = try NGramModel(training: text, order: 3, vocabularySize: 300)
    #expect(model.fallbackLengths == [])
    let twin = NaiveKneserNey(training: text, order: 3, vocabularySize: 300)
    for end in 0..<20 {
      let context = Array(text[..<end])
      for token in [text[end], 0, 299] {
        let difference = model.probability(of: token, after: context) - twin.probability(of: token, after: context)
        #expect(abs(difference) < 1e-12)
      }
    }
  }

  @Test func bigramsOfAShortTextByHand() throws {
    // Left contexts of 0: 1 and the start; of 1: 0; of 2: 1. Each discount falls back.
    let model = try NGramModel(training: [0, 1, 0, 1, 2], order: 2, vocabularySize: 4)
    #expect(model.fallbackLengths == [1, 2])
    #expect(model.tables[0] == NGramTable(starts: [0, 3], tokens: [0, 1, 2], counts: [2, 1, 1]))
    #expect(model.tables[1] == NGramTable(starts: [0, 1, 3, 3], tokens: [1, 0, 2], counts: [2, 1, 1]))
    let backoff = (1 + 0.5 + 0.5) / 4.0
    let unigrams = [1 / 4.0, 0.5 / 4, 0.5 / 4, 0].map { $0 + backoff / 4 }
    #expect(model.probability(of: 3, after: []) == unigrams[3])
    #expect(model.probability(of: 1, after: [0]) == (2 - 1) / 2.0 + 1 / 2.0 * unigrams[1])
    #expect(model.probability(of: 2, after: [3, 1]) == (1 - 0.5) / 2.0 + 1 / 2.0 * unigrams[2])
    // 2 only ends the text, 3 does not occur in it.
    #expect(model.probability(of: 0, after: [2]) == unigrams[0])
    #expect(model.probability(of: 0, after: [3]) == unigrams[0])
  }

  @Test func unusableInputIsRefused() throws {
    func refuses(_ text: [Int32], order: Int = 2, vocabularySize: Int = 3) {
      #expect(throws: NGramError.self) {
        try NGramModel(training: text, order: order, vocabularySize: vocabularySize)
      }
    }
    refuses([])
    refuses([0, 1], order: 0)
    refuses([0, 1], order: 6)
    refuses([0, 1], vocabularySize: 0)
    refuses([0, 1], vocabularySize: Int.max)
    refuses([0, 3])
    refuses([0, -1])
    let model = try NGramModel(training: [0, 1], order: 2, vocabularySize: 3)
    #expect(throws: NGramError.invalidInput("token 3 at position 1 is outside the vocabulary of 3")) {
      try model.logProbabilities(of: [0, 3])
    }
  }
}
