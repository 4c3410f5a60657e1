import Failures
import Files
import Glibc
import MPI

/// Starts the workers that a command line asks for, and ends them.
package enum WorkerLaunch {
  /// Runs `body` on every worker and returns when all are done.
  ///
  /// Under `mpirun` the workers are the MPI ranks, each a process with one body on the calling thread, which must be the
  /// main one. Otherwise they are `threads` threads of this process; with one (or nil) the body runs on the calling
  /// thread, without MPI.
  ///
  /// An error that all workers agreed on (``WorkerFailure``) is thrown here on every rank, after `MPI_Finalize`: pass it
  /// to ``report(_:)``, which prints it once. Threads: so is the error of the lowest worker that failed by itself. MPI: a
  /// rank that fails by itself can't leave in good order, since the others may wait for it in a collective, so it prints
  /// its error and ends the whole job here.
  ///
  /// - Parameter sharedMemory: whether ranks that all run on one machine may share memory.
  package static func run(
    threads: Int?, sharedMemory: Bool = true, _ body: @escaping @Sendable (any WorkerGroup) throws -> Void
  ) throws {
    let threads = threads ?? 1
    guard threads >= 1 else {
      throw Failure(.usage, "\(threads) workers can't train anything", at: "--workers", remedy: "give 1 or more")
    }
    // Without a known size (plain PMIx) there may be one rank only; that is settled after MPI_Init.
    if let launcher = Launcher.current, threads == 1 || launcher.size != 1 {
      try runRanks(threads: threads, sharedMemory: sharedMemory, body)
    } else if threads > 1 {
      try ThreadWorkers.run(count: threads, body)
    } else {
      try body(SingleWorker())
    }
  }

  /// Runs `body` as ``run(threads:sharedMemory:_:)`` does, reports an error, and gives the status for the process to exit with.
  package static func main(
    threads: Int?, sharedMemory: Bool = true, _ body: @escaping @Sendable (any WorkerGroup) throws -> Void
  ) -> ExitStatus {
    do {
      try run(threads: threads, sharedMemory: sharedMemory, body)
      return .done
    } catch {
      return report(error)
    }
  }

  /// Whether this process speaks for the job: rank 0 under `mpirun`, or the only one. Needs no MPI.
  package static var isFirstProcess: Bool { Launcher.current?.rank ?? 0 == 0 }

  /// Prints an error that every process of the job has, once: on rank 0 under `mpirun`. Returns its exit status.
  ///
  /// Needs no MPI, so it serves for wrong options as well.
  package static func report(_ error: any Error) -> ExitStatus {
    if isFirstProcess {
      StandardError.print(line(for: error))
    } else {
      // mpirun kills the job at the first non-zero exit, which must not come before rank 0 has written its line.
      usleep(500_000)
    }
    return ExitStatus(error)
  }

  /// Prints an error that only this worker has.
  static func reportAlone(_ error: any Error, rank: Int, of count: Int) {
    let failure = WorkerFailure(error, rank: rank, failedEverywhere: count == 1)
    StandardError.print(line(for: failure))
  }

  /// A stop that was asked for, after a good checkpoint, has a status of its own and is no error.
  private static func line(for error: any Error) -> String {
    ExitStatus(error) == .stoppedBySignal ? "\(error)" : "error: \(error)"
  }

  private static func runRanks(
    threads: Int, sharedMemory: Bool, _ body: @Sendable (any WorkerGroup) throws -> Void
  ) throws {
    if threads > 1, let size = Launcher.current?.size { throw bothThreadsAndRanks(threads: threads, ranks: size) }
    let runtime = try MPIRuntime()
    let workers: MPIWorkers
    do {
      workers = try MPIWorkers(runtime.world, sharedMemory: sharedMemory)
    } catch {
      WorkerLaunch.reportAlone(error, rank: runtime.world.rank, of: runtime.world.size)
      runtime.world.abort(status: ExitStatus(error).rawValue)
    }
    do {
      guard threads == 1 else {
        // Every rank finds the same, so this is agreed on without asking.
        let failure = bothThreadsAndRanks(threads: threads, ranks: workers.count)
        throw WorkerFailure(failure, rank: 0, failedEverywhere: true)
      }
      try body(workers)
    } catch let agreed as WorkerFailure {
      try runtime.finalize()
      throw agreed
    } catch {
      workers.abandon(error)
    }
    try runtime.finalize()
  }

  private static func bothThreadsAndRanks(threads: Int, ranks: Int) -> Failure {
    Failure(
      .usage, "asks for \(threads) threads while mpirun has started \(ranks) ranks", at: "--workers",
      remedy: "choose one: 'mpirun -n N' without --workers, or --workers without mpirun")
  }
}
