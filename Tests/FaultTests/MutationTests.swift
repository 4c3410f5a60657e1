import Foundation
import TestSupport
import Testing

extension HarnessTests {
  /// Damaged files of every kind, each read by a process of its own: the answer is one message and a status that says whose
  /// fault it is, or the intact file's result, or, where nothing vouches for the bytes, another one that makes sense.
  @Suite struct MutationTests {
    private static let fixture = Result { try MutationFixture() }

    @Test(arguments: MutationSubject.allCases)
    func damageIsRefusedOrHarmless(_ subject: MutationSubject) throws {
      let trials = TestMode.trials(of: subject.rawValue, sample: 16, long: 2000)
      guard !trials.isEmpty else { return }
      let fixture = try Self.fixture.get()
      let intact = try subject.commands.map { try Self.intactResult(subject, $0, fixture) }
      let tally = Tally(subject.rawValue)
      TestMode.forEach(in: trials) { number, job in
        do {
          let directory = try fixture.trialDirectory(job)
          let trial = try subject.placeDamaged(number, in: directory, fixture)
          let outcome = try TrialCommand(arguments: trial.arguments, directory: directory).run()
          let judge = MutationJudge(subject: subject, trial: trial, directory: directory)
          if TestMode.single != nil { judge.show(outcome) }
          switch judge.judge(outcome, intact: intact[number % intact.count]) {
          case .fine(let what): tally.count(what)
          case .found(let what):
            tally.find(number, "\(trial.description), read by '\(trial.arguments.joined(separator: " "))': \(what)")
          }
        } catch {
          tally.find(number, "the trial itself failed: \(error)")
        }
      }
      tally.finish()
    }

    /// What the command prints for the intact file.
    private static func intactResult(
      _ subject: MutationSubject, _ arguments: [String], _ fixture: MutationFixture
    ) throws -> ChildProcess.Outcome {
      let directory = try fixture.trialDirectory(0)
      try subject.placeIntact(in: directory, fixture)
      let outcome = try TrialCommand(arguments: arguments, directory: directory).run()
      let isBelowAFile = arguments.contains("run.directory=../text.txt/out")
      // Another corpus than the run's: the first version's files and this fixture's run do not belong together.
      let expected: [Int32] = isBelowAFile ? [73] : [0]
      try #require(expected.contains(outcome.status), "\(arguments): \(outcome.standardError)")
      return outcome
    }
  }
}
