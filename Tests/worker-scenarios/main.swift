import Failures
import Glibc
import WorkerScenarios
import Workers

// Usage: worker-scenarios [--workers N | --no-shared-memory] NAME [ARGUMENT…], usually under mpirun. Prints 'ok NAME ranks=N' when all is well.

let scenarios = collectiveScenarios + agreementScenarios + failureScenarios + trainingScenarios
var arguments = Array(CommandLine.arguments.dropFirst())
var threads: Int?
if arguments.first == "--workers", arguments.count >= 2 {
  threads = Int(arguments[1])
  arguments.removeFirst(2)
}
let sharedMemory = arguments.first != "--no-shared-memory"
if !sharedMemory { arguments.removeFirst() }

guard let name = arguments.first, let scenario = scenarios.first(where: { $0.name == name }) else {
  let names = scenarios.map(\.name).joined(separator: ", ")
  exit(WorkerLaunch.report(Failure(.usage, "give the name of a scenario", cause: names)).rawValue)
}
let rest = Array(arguments.dropFirst())
let status = WorkerLaunch.main(threads: threads, sharedMemory: sharedMemory) { workers in
  try scenario.run(workers, rest)
  // All have passed, not only rank 0.
  try workers.barrier()
  if workers.rank == 0 { print("ok \(scenario.name) ranks=\(workers.count)") }
}
exit(status.rawValue)
