import Foundation
import TestSupport
import Testing

/// The harness itself: that it finds what it is there to find, and that a trial can be made again.
struct JudgeTests {
  private func outcome(_ status: Int32, _ output: String = "", error: String = "", timedOut: Bool = false)
    -> ChildProcess.Outcome
  {
    ChildProcess.Outcome(
      status: status, standardOutput: output, standardError: error, wallTime: .zero, timedOut: timedOut)
  }

  private func isFound(
    _ outcome: ChildProcess.Outcome, _ subject: MutationSubject, _ arguments: [String] = ["inspect", "damaged.h5"]
  ) -> Bool {
    let trial = MutationSubject.Case(arguments: arguments, description: "", bytes: Array("a text".utf8))
    let judge = MutationJudge(subject: subject, trial: trial, directory: "/nonexistent")
    if case .found = judge.judge(outcome, intact: self.outcome(0, "intact")) { return true }
    return false
  }

  @Test func whatIsWrongIsFound() {
    let message = "error: damaged.h5: damaged\n"
    #expect(!isFound(outcome(65, error: message), .checkpoint))
    #expect(!isFound(outcome(0, "intact"), .checkpoint))
    #expect(!isFound(outcome(0, "other"), .resealedCheckpoint))
    #expect(isFound(outcome(0, "other"), .checkpoint), "wrong data")
    #expect(isFound(outcome(0, "{", error: ""), .resealedCheckpoint, ["inspect", "--json"]), "broken output")
    #expect(isFound(outcome(64, error: message), .checkpoint), "another status")
    #expect(isFound(outcome(70, error: message), .resealedCheckpoint), "a fault of the program's own")
    #expect(isFound(outcome(65, error: message + message), .checkpoint), "two messages")
    #expect(isFound(outcome(65), .checkpoint), "no message")
    #expect(isFound(outcome(128 + SIGSEGV), .resealedShard), "a crash")
    #expect(isFound(outcome(65, error: message + "HDF5-DIAG: …\n"), .shard), "a library's own words")
    #expect(isFound(outcome(137, timedOut: true), .text), "a hang")
    #expect(isFound(outcome(0, error: "train  7 tokens\n"), .text, ["prepare", "char"]), "a token too many")
    #expect(!isFound(outcome(0, error: "train  6 tokens\n"), .text, ["prepare", "char"]))
  }

  @Test func aTrialCanBeMadeAgain() {
    let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0 / 7) }
    var damages: Set<[UInt8]> = []
    for number in 0..<200 {
      var (one, two) = (TestMode.random("a", number), TestMode.random("a", number))
      let damaged = Mutation.apply(to: bytes, other: bytes.reversed(), from: 512, &one).bytes
      #expect(damaged == Mutation.apply(to: bytes, other: bytes.reversed(), from: 512, &two).bytes)
      #expect(damaged != bytes && damaged.starts(with: bytes[..<512]))
      damages.insert(damaged)
    }
    #expect(damages.count > 190)
  }

  @Test func theOracleCounts() {
    func tokens(_ text: String, _ tokenizer: String) -> Int? {
      TextOracle(Array(text.utf8), tokenizer: tokenizer).tokens
    }
    #expect(tokens("\u{FEFF}ab ü\r\n", "char") == 6)
    #expect(tokens("ab ü\r\n", "byte") == 7)
    #expect(tokens("a b\r\nc\rd\n\ne", "word") == 10)
    #expect(tokens("a\0", "char") == nil && TextOracle([0xC3], tokenizer: "word").isKnown)
  }
}
