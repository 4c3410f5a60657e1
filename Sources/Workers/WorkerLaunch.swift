import Failures
import Files
import Glibc
import MPI
import Signals
import Synchronization

/// Starts the workers that a command line asks for, and ends them.
package enum WorkerLaunch {
  /// Runs `body` on every worker and returns when all are done.
  ///
  /// Under `mpirun` the workers are the MPI ranks, each a process with one body on the calling thread, which must be the
  /// main one. Otherwise they are `threads` threads of this process; with one (or nil) the body runs on the calling
  /// thread, without MPI.
  ///
  /// Threads: the error of the lowest worker that failed is thrown here. MPI: an error that all workers agreed on
  /// (``WorkerFailure``) is printed once, and thrown on every rank as a ``ReportedFailure`` after `MPI_Finalize`. A rank
  /// that fails by itself can't leave cleanly, since the others may wait for it in a collective, so it prints its
  /// error and ends the whole job here.
  ///
  /// - Parameters:
  ///   - sharedMemory: whether ranks that all run on one machine may share memory.
  ///   - fingerprint: what must be the same on all ranks before they begin.
  package static func run(
    threads: Int?, sharedMemory: Bool = true, fingerprint: Fingerprint = Fingerprint(),
    _ body: @escaping @Sendable (any WorkerGroup) throws -> Void
  ) throws {
    let threads = threads ?? 1
    guard threads >= 1 else {
      throw Failure(.usage, "\(threads) workers can't train anything", at: "--workers", remedy: "give 1 or more")
    }
    // Without a known size (plain PMIx) there may be one rank only; that is settled after MPI_Init.
    if let launcher = Launcher.current, threads == 1 || launcher.size != 1 {
      try runRanks(threads: threads, sharedMemory: sharedMemory, fingerprint, body)
    } else if threads > 1 {
      try ThreadWorkers.run(count: threads, body)
    } else {
      try body(SingleWorker())
    }
  }

  /// Runs `body` as ``run(threads:sharedMemory:fingerprint:_:)`` does, reports an error, and gives the status for the
  /// process to exit with.
  package static func main(
    threads: Int?, sharedMemory: Bool = true, fingerprint: Fingerprint = Fingerprint(),
    _ body: @escaping @Sendable (any WorkerGroup) throws -> Void
  ) -> ExitStatus {
    do {
      try run(threads: threads, sharedMemory: sharedMemory, fingerprint: fingerprint, body)
      return .done
    } catch {
      return report(error)
    }
  }

  /// Refuses several ranks for a command that one process does alone, before it has touched anything.
  ///
  /// - Parameter command: its name.
  /// - Throws: ``ReportedFailure`` on every rank, after the refusal was printed once.
  package static func requireOneProcess(_ command: String, fingerprint: Fingerprint = Fingerprint()) throws {
    guard let launcher = Launcher.current, launcher.size != 1 else { return }
    try runRanks(threads: 1, sharedMemory: false, fingerprint) { ranks in
      guard ranks.count > 1 else { return }
      try ranks.agree(
        Failure(
          .usage, "'\(command)' is for one process, and \(ranks.count) ranks were started",
          remedy: "start it without mpirun or srun"))
    }
  }

  /// Refuses tasks of a Slurm step that know nothing of each other: each would train the whole run, all in one directory.
  ///
  /// - Throws: ``Failure`` (usage).
  package static func refuseSeparateTasks(override: String) throws {
    guard Launcher.current == nil, let tasks = Launcher.slurmTasks, tasks > 1 else { return }
    throw separateTasks(tasks, override: override)
  }

  private static func separateTasks(_ tasks: Int, override: String) -> Failure {
    Failure(
      .usage, "srun has started \(tasks) tasks that are not connected by MPI, and each would train alone",
      at: "SLURM_STEP_NUM_TASKS",
      remedy: "start them with 'srun --mpi=pmix' or mpirun; for a run of its own in each task give \(override)")
  }

  /// Whether this process speaks for the job: rank 0 under `mpirun`, or the only one. Needs no MPI.
  package static var isFirstProcess: Bool { Launcher.current?.rank ?? 0 == 0 }

  /// Whether an MPI launcher started this process.
  package static var isRank: Bool { Launcher.current != nil }

  /// Whether Open MPI's `mpirun` started this process.
  package static var isUnderOpenMPI: Bool { getenv("OMPI_COMM_WORLD_RANK") != nil }

  /// Prints an error, once for all ranks that have it. Returns its exit status.
  ///
  /// Under `mpirun` MPI is started for that if need be: only the others can tell whether they met the same.
  package static func report(_ error: any Error) -> ExitStatus {
    prepareToLeave()
    if let reported = error as? ReportedFailure { return reported.exitStatus }
    guard let launcher = Launcher.current, launcher.size != 1, !MPIRuntime.wasStarted else {
      print(error)
      return ExitStatus(error)
    }
    do {
      try runRanks(threads: 1, sharedMemory: false, Fingerprint(), failure: error) { _ in }
    } catch let reported as ReportedFailure {
      return reported.exitStatus
    } catch {
      // Without the others there is no one to agree with.
    }
    print(error)
    return ExitStatus(error)
  }

  /// Whether this process is about to end: a stop signal that comes now changes nothing.
  package static var isLeaving: Bool { leaving.load(ordering: .relaxed) }

  private static let leaving = Atomic(false)

  /// Before the last barrier: of the ranks on a host, the first to answer a stop signal keeps the others quiet only while it
  /// lives.
  private static func prepareToLeave() {
    StopSignal.awaitResponse()
    leaving.store(true, ordering: .relaxed)
  }

  /// Prints an error that only this worker has.
  static func reportAlone(_ error: any Error, of worker: WorkerName, count: Int) {
    print(WorkerFailure(error, of: worker, failedEverywhere: count == 1))
  }

  /// A stop that was asked for, after a good checkpoint, has a status of its own and is no error.
  private static func print(_ error: any Error) {
    StopSignal.awaitResponse()
    let messages = (error as? WorkerFailure)?.messages ?? ["\(error)"]
    let prefix = ExitStatus(error) == .stoppedBySignal ? "" : "error: "
    StandardError.print(messages.map { prefix + $0 }.joined(separator: "\n"))
  }

  /// - Parameter failure: an error that this process comes with, to tell the others.
  private static func runRanks(
    threads: Int, sharedMemory: Bool, _ fingerprint: Fingerprint, failure: (any Error)? = nil,
    _ body: @Sendable (any WorkerGroup) throws -> Void
  ) throws {
    let runtime = try MPIRuntime()
    var ranks = MPIWorkers(runtime.world)
    do {
      // These two come first in every version, so that ranks of other builds are told apart instead of misunderstood.
      try ranks.agree(failure ?? bothThreadsAndRanks(threads: threads, ranks: ranks.count))
      try ranks.compare(fingerprint)
      ranks = try ranks.watchingEachOther()
      try body(try ranks.sharingMemory(wanted: sharedMemory))
      prepareToLeave()
      ranks.stopWatching()
      try ranks.barrier()
    } catch let agreed as WorkerFailure {
      prepareToLeave()
      if ranks.rank == 0 { print(agreed) }
      ranks.stopWatching()
      // mpirun ends the job at the first status other than 0, which must not come before the line above.
      try ranks.barrier()
      try runtime.finalize()
      throw ReportedFailure(agreed)
    } catch {
      ranks.abandon(error)
    }
    try runtime.finalize()
  }

  private static func bothThreadsAndRanks(threads: Int, ranks: Int) -> Failure? {
    guard threads > 1 else { return nil }
    return Failure(
      .usage, "asks for \(threads) threads while mpirun has started \(ranks) \(ranks == 1 ? "rank" : "ranks")",
      at: "--workers", remedy: "choose one: 'mpirun -n N' without --workers, or --workers without mpirun")
  }
}
