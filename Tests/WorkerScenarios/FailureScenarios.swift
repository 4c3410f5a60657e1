import Failures
import Glibc
import Signals
import Workers

/// Agreement on failures and stop signals. These end well.
package let agreementScenarios: [WorkerScenario] = [
  WorkerScenario("agree") { workers, _ in try checkAgreement(workers) },
  WorkerScenario("stop-signal") { workers, _ in try checkStopSignal(workers) },
]

/// Ways for a job to end badly: `[RANK]` is the worker that fails, the last one by default. Each throws or ends the
/// process; what matters is what is seen from outside.
package let failureScenarios: [WorkerScenario] = [
  WorkerScenario("fail-together") { workers, _ in
    try workers.agree(workers.rank == 0 ? nil : badFile(of: workers.rank))
  },
  WorkerScenario("fail-alone") { workers, arguments in
    try waitInBarrier(workers, unlessRank: arguments) { throw badFile(of: workers.rank) }
  },
  WorkerScenario("fail-alike") { _, _ in throw badFile(of: 0) },
  WorkerScenario("abandon") { workers, arguments in
    try waitInBarrier(workers, unlessRank: arguments) { workers.abandon(badFile(of: workers.rank)) }
  },
  WorkerScenario("kill") { workers, arguments in
    try waitInBarrier(workers, unlessRank: arguments) { raise(SIGKILL) }
  },
  WorkerScenario("interrupt-twice") { workers, _ in
    StopSignal.install()
    raise(SIGINT)
    try expect(StopSignal.received == SIGINT, "SIGINT was not noted")
    raise(SIGINT)
    throw Failure(.softwareFault, "the second SIGINT did not end the process")
  },
]

private func badFile(of rank: Int) -> Failure {
  Failure(.badData, "checksum mismatch", at: "file-\(rank)", remedy: "restore the file")
}

private func waitInBarrier(
  _ workers: any WorkerGroup, unlessRank arguments: [String], _ body: () throws -> Void
) throws {
  let failing = arguments.first.flatMap { Int($0) } ?? workers.count - 1
  try workers.barrier()
  if workers.rank == failing { try body() }
  try workers.barrier()
}

private func checkAgreement(_ workers: any WorkerGroup) throws {
  let (rank, count) = (workers.rank, workers.count)
  try workers.agree(nil)
  let value = try workers.agreeing { rank * 2 }
  try expect(value == rank * 2, "agreeing() lost its result")

  // Each worker alone, then all from each rank upwards.
  for first in 0..<count {
    for failing in [first..<first + 1, first..<count] {
      do {
        try workers.agreeing { if failing.contains(rank) { throw badFile(of: rank) } }
        throw Failure(.softwareFault, "workers \(failing) failed, and worker \(rank) was not told")
      } catch let failure as WorkerFailure {
        // Each has a file of its own, so each is named.
        let isAsExpected =
          failure.rank == first && failure.message == badFile(of: first).description && failure.exitStatus == .badData
          && failure.failedEverywhere == (count == 1) && failure.messages.count == failing.count
          && zip(failing, failure.messages).allSatisfy {
            $1.contains("file-\($0): ") && (count == 1 || $1.contains(" \($0)"))
          }
        try expect(isAsExpected, "worker \(rank) was told \(failure)")
        // Passing on what has been agreed must not put it into another wrapping.
        do { try workers.agree(failure) } catch let again as WorkerFailure { try expect(again == failure, "\(again)") }
      }
    }
  }
  try workers.agree(nil)
  // What all meet names none.
  do {
    try workers.agree(badFile(of: 0))
  } catch let failure as WorkerFailure {
    try expect(failure.failedEverywhere && "\(failure)" == "\(badFile(of: 0))", "worker \(rank) was told \(failure)")
  }

  var fingerprint = Fingerprint()
  fingerprint.add("the size", "7", remedy: "use one size")
  try workers.compare(fingerprint)
  guard count > 1 else { return }
  fingerprint.add("the seed", rank == 1 ? "1" : "3", remedy: "use one seed", exitStatus: .badData)
  do {
    try workers.compare(fingerprint)
    throw Failure(.softwareFault, "worker \(rank) was not told of a difference")
  } catch let failure as WorkerFailure {
    let isNamed = failure.message.contains(" 1") && failure.message.contains(": the seed is 1, ")
    try expect(isNamed && failure.exitStatus == .badData, "worker \(rank) was told \(failure)")
  }
}

/// The last worker is signalled while all go through their steps: all must stop after the same one.
private func checkStopSignal(_ workers: any WorkerGroup) throws {
  if workers.rank == 0 || workers is MPIWorkers { StopSignal.install() }
  try workers.barrier()
  try expect(try !workers.stopRequested(), "a stop was requested before any signal")
  var step = 0
  repeat {
    step += 1
    if workers.rank == workers.count - 1 && step == 20 { kill(getpid(), SIGUSR1) }
    guard step < 100_000 else { throw Failure(.softwareFault, "the signal did not arrive") }
  } while try !workers.stopRequested()

  var sum = Double(step)
  try withUnsafeMutablePointer(to: &sum) { try workers.allReduceSum(UnsafeMutableBufferPointer(start: $0, count: 1)) }
  try expect(sum == Double(step * workers.count), "worker \(workers.rank) stopped at step \(step), others elsewhere")
  if let received = StopSignal.received { try expect(received == SIGUSR1, "signal \(received) was noted") }
}
