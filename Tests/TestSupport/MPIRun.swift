import Foundation

/// Starts programs under `mpirun` on this machine.
package struct MPIRun {
  /// Whether there is an `mpirun` to start. Suites that need one are disabled where there is none.
  package static var isAvailable: Bool {
    let directories = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    return directories.contains { access("\($0)/mpirun", X_OK) == 0 }
  }

  /// Starts `ranks` processes of `executable`, more than there are cores if need be.
  ///
  /// - Parameters:
  ///   - executable: a path, or the name of one of the package's own executables.
  ///   - environment: additions to the environment of the test.
  package static func start(
    ranks: Int, _ executable: String, _ arguments: [String] = [], environment: [String: String] = [:],
    directory: String? = nil
  ) throws -> ChildProcess {
    var variables = ChildProcess.inheritedEnvironment.merging(environment) { $1 }
    // Open MPI refuses to run as root, which containers do, unless told twice.
    variables["OMPI_ALLOW_RUN_AS_ROOT"] = "1"
    variables["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    return try ChildProcess(
      "mpirun", ["--oversubscribe", "-n", "\(ranks)", ChildProcess.path(of: executable)] + arguments,
      environment: variables, directory: directory)
  }

  /// ``start(ranks:_:_:environment:directory:)`` and waiting for the end.
  package static func run(
    ranks: Int, _ executable: String, _ arguments: [String] = [], environment: [String: String] = [:],
    directory: String? = nil, deadline: Duration
  ) throws -> ChildProcess.Outcome {
    try start(ranks: ranks, executable, arguments, environment: environment, directory: directory)
      .wait(deadline: deadline)
  }
}
