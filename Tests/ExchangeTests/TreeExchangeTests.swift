import Optimizers
import TestSupport
import Testing
import WorkerScenarios
import Workers

/// The exchange against its naive twin, over a model without layers; among ranks it is a scenario of `worker-scenarios`.
@Suite struct TreeExchangeTests {
  /// Each check on every number of workers that its shards allow, up to nine.
  static let cases = ExchangeCheck.all.flatMap { check in (1...min(check.shards, 9)).map { (check, $0) } }

  @Test(arguments: cases)
  func anyNumberOfWorkersGivesTheBitsOfTheTwin(_ check: ExchangeCheck, workers: Int) throws {
    let differences = try onWorkers(workers) { try check.firstDifference($0) }
    #expect(differences == Array(repeating: nil, count: workers))
  }

  @Test func smallModelsLeaveSomeWorkersNothingToUpdate() throws {
    var check = ExchangeCheck(.sgd(momentum: 0.9), shards: 4)
    check.sizes.dense = 800
    check.sizes.rows = 30
    check.sizes.columns = 5
    let small = check
    #expect(try onWorkers(4) { try small.firstDifference($0) } == [nil, nil, nil, nil])
  }
}
