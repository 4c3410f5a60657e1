import Failures
import Synchronization
import Testing
import WorkerScenarios
import Workers

private struct Broken: Error, Equatable {
  let rank: Int
}

/// What happens when a worker of a group of threads fails: the others are told within moments, and one error comes out.
@Suite(.timeLimit(.minutes(1)))
struct ThreadFailureTests {
  @Test(arguments: [0, 1, 2, 3], [0, 5])
  func otherWorkersAreInterruptedInEveryCollective(failing: Int, step: Int) {
    let interrupted = Mutex(0)
    #expect(throws: Broken(rank: failing)) {
      try ThreadWorkers.run(count: 4) { workers in
        var bytes = [UInt8](repeating: 0, count: 64)
        var values: [Float] = [1, 2, 3]
        do {
          for current in 0... {
            if workers.rank == failing && current == step { throw Broken(rank: failing) }
            switch current % 4 {
            case 0: try workers.barrier()
            case 1: try bytes.withUnsafeMutableBytes { try workers.broadcast($0, from: 2) }
            case 2: try values.withUnsafeMutableBufferPointer { try workers.allReduceSum($0) }
            default: try workers.agree(nil)
            }
          }
        } catch let error as WorkerInterrupted {
          interrupted.withLock { $0 += 1 }
          throw error
        }
      }
    }
    #expect(interrupted.withLock { $0 } == 3)
  }

  @Test func lowestRankIsReportedWhenSeveralFail() {
    for _ in 0..<50 {
      #expect(throws: Broken(rank: 1)) {
        try ThreadWorkers.run(count: 4) { workers in
          if workers.rank >= 1 { throw Broken(rank: workers.rank) }
          try workers.barrier()
        }
      }
    }
  }

  @Test func whatFollowsAnInterruptionIsNotTheCause() {
    #expect(throws: Broken(rank: 3)) {
      try ThreadWorkers.run(count: 4) { workers in
        if workers.rank == 3 { throw Broken(rank: 3) }
        do { try workers.barrier() } catch { throw Broken(rank: workers.rank) }
      }
    }
  }

  @Test func anAbandonedGroupFailsEvenIfTheWorkerReturns() {
    #expect(throws: Broken(rank: 2)) {
      try ThreadWorkers.run(count: 3) { workers in
        if workers.rank == 2 { return workers.abandon(Broken(rank: 2)) }
        try workers.barrier()
      }
    }
  }

  @Test func aWorkerThatReturnsEarlyLeavesNoOneWaiting() throws {
    let failure = try #require(throws: Failure.self) {
      try ThreadWorkers.run(count: 3) { workers in
        if workers.rank != 1 { try workers.barrier() }
      }
    }
    #expect(failure.exitStatus == .softwareFault)
    #expect("\(failure)".contains("already returned"))
  }

  @Test func differentCallsAreToldApart() throws {
    let failure = try #require(throws: Failure.self) {
      try ThreadWorkers.run(count: 2) { workers in
        if workers.rank == 0 { try workers.barrier() } else { try workers.agree(nil) }
      }
    }
    #expect("\(failure)" == "worker 0 is in 'barrier' while worker 1 is in 'agree'")
  }

  @Test func differentSizesAreToldApart() throws {
    let failure = try #require(throws: Failure.self) {
      try ThreadWorkers.run(count: 2) { workers in
        var bytes = [UInt8](repeating: 0, count: 7 + workers.rank)
        try bytes.withUnsafeMutableBytes { try workers.broadcast($0, from: 0) }
      }
    }
    #expect("\(failure)" == "worker 0 gave 7 bytes where worker 1 expected 8")
  }

  @Test func agreedFailureNamesTheWorkerUnlessAllFailed() {
    let one = WorkerFailure(rank: 1, message: "a.h5: no such file", exitStatus: .badData, failedEverywhere: false)
    let all = WorkerFailure(rank: 0, message: "a.h5: no such file", exitStatus: .badData, failedEverywhere: true)
    #expect("\(one)" == "worker 1: a.h5: no such file")
    #expect("\(all)" == "a.h5: no such file")
    #expect(throws: one) {
      try ThreadWorkers.run(count: 3) { workers in
        try workers.agree(workers.rank == 1 ? Failure(.badData, "no such file", at: "a.h5") : nil)
      }
    }
    #expect(throws: all) { try SingleWorker().agree(Failure(.badData, "no such file", at: "a.h5")) }
  }

  @Test func unknownErrorsAreOurOwnFault() {
    #expect(ExitStatus(Broken(rank: 0)) == .softwareFault)
    #expect(ExitStatus(Failure(.cannotWrite, "disk full")) == .cannotWrite)
  }

  @Test func zeroWorkersAreAUsageError() {
    let failure = #expect(throws: Failure.self) { try WorkerLaunch.run(threads: 0) { _ in } }
    #expect(failure?.exitStatus == .usage)
  }
}
