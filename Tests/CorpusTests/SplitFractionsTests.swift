import Corpus
import TestSupport
import Testing

@Suite struct SplitFractionsTests {
  @Test func cutsLikePythonsInt() throws {
    let fractions = try SplitFractions(parsing: "0.9,0.05,0.05")
    #expect(fractions == .standard)
    #expect(fractions.tokenCounts(of: 1_115_394) == [1_003_854, 55_770, 55_770])
    // int(0.7 * 10) is 7, int((0.7 + 0.1) * 10) is 7 as well: 0.7 + 0.1 is 0.7999….
    #expect(try SplitFractions(parsing: "0.7,0.1,0.2").tokenCounts(of: 10) == [7, 0, 3])
    #expect(try SplitFractions(parsing: "1,0,0").tokenCounts(of: 7) == [7, 0, 0])
    // 0.3 + 0.1 + 0.6 and the like round to less than 1: a fraction of 0 gets nothing all the same.
    #expect(try SplitFractions(parsing: "0.9999999,0,0").tokenCounts(of: 10) == [10, 0, 0])
    #expect(try SplitFractions(parsing: "0.7,0.2999999,0").tokenCounts(of: 10) == [7, 3, 0])
    #expect(try SplitFractions(parsing: "0,0,1").tokenCounts(of: 33) == [0, 0, 33])
  }

  @Test(arguments: [
    ("0.9,0.1", "not three numbers"), ("0.9,0.05,0.05,0", "not three numbers"), ("a,b,c", "not three numbers"),
    ("", "not three numbers"), ("nan,0,1", "not three numbers"), ("0.9,,0.1", "not three numbers"),
    ("1.2,-0.1,-0.1", "negative"), ("0.5,0.3,0.1", "add up to 0.9"), ("90,5,5", "add up to 100"),
  ])
  func refusesBadNumbers(text: String, reason: String) {
    expectFailure(.usage, "--split", reason, "0.9,0.05,0.05") { try SplitFractions(parsing: text) }
  }

  @Test func refusesContradictingOptions() {
    expectFailure(.usage, "--split", "can't be combined") {
      try CorpusRecipe.Splitting(fractions: "0.9,0.05,0.05", valid: ["v"], test: ["t"])
    }
  }

  @Test func oneOfValidAndTestIsEnough() throws {
    #expect(
      try CorpusRecipe.Splitting(fractions: nil, valid: ["v"], test: [])
        == .files(valid: ["v"], test: []))
    #expect(
      try CorpusRecipe.Splitting(fractions: nil, valid: [], test: ["t"])
        == .files(valid: [], test: ["t"]))
  }

  @Test func withoutOptionsTheStandardFractionsApply() throws {
    #expect(try CorpusRecipe.Splitting(fractions: nil, valid: [], test: []) == .fractions(.standard))
  }
}
