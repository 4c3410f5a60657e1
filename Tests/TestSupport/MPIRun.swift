import Foundation
import Synchronization

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
  ///   - options: mpirun's.
  package static func start(
    ranks: Int, _ executable: String, _ arguments: [String] = [], environment: [String: String] = [:],
    directory: String? = nil, options: [String] = []
  ) throws -> ChildProcess {
    try ChildProcess(
      "mpirun", options + ["--oversubscribe", "-n", "\(ranks)", ChildProcess.path(of: executable)] + arguments,
      environment: variables(environment), directory: directory)
  }

  private static func variables(_ additions: [String: String]) throws -> [String: String] {
    var variables = ChildProcess.inheritedEnvironment.merging(additions) { $1 }
    // Open MPI refuses to run as root, which containers do, unless told twice.
    variables["OMPI_ALLOW_RUN_AS_ROOT"] = "1"
    variables["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    variables["OMPI_MCA_orte_tmpdir_base"] = try MPISessionDirectory.make()
    return variables
  }

  /// ``start(ranks:_:_:environment:directory:)`` and waiting for the end.
  package static func run(
    ranks: Int, _ executable: String, _ arguments: [String] = [], environment: [String: String] = [:],
    directory: String? = nil, deadline: Duration
  ) throws -> ChildProcess.Outcome {
    try start(ranks: ranks, executable, arguments, environment: environment, directory: directory)
      .wait(deadline: deadline)
  }

  /// What one rank runs, where ranks differ.
  package struct Rank {
    package var arguments: [String]
    package var environment: [String: String]
    package var directory: String
    /// A path, where it is another executable than the others'.
    package var executable: String?

    package init(
      _ arguments: [String], environment: [String: String] = [:], directory: String, executable: String? = nil
    ) {
      self.executable = executable
      self.arguments = arguments
      self.environment = environment
      self.directory = directory
    }
  }

  /// Starts one process of `executable` for each of `ranks`, each with arguments, environment and directory of its own.
  package static func start(
    _ ranks: [Rank], _ executable: String, environment: [String: String] = [:]
  ) throws -> ChildProcess {
    let program = ChildProcess.path(of: executable)
    let contexts = ranks.map { rank in
      ["-n", "1", "--wdir", rank.directory, "env"] + rank.environment.map { "\($0)=\($1)" }
        + [rank.executable ?? program] + rank.arguments
    }
    return try ChildProcess(
      "mpirun", ["--oversubscribe"] + contexts.joined(separator: [":"]),
      environment: variables(environment))
  }
}

/// A directory for what one mpirun keeps in files.
///
/// By default all of a user's mpiruns share one below /tmp, which each creates and removes: two that begin and end at the
/// same moment fail with "File exists". The path is short, because sockets are made below it.
private enum MPISessionDirectory {
  private static let parent: String = {
    let parent = "/tmp/lockstep-mpi-\(getuid())"
    try? FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
    // Those of test processes that have ended.
    for name in (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? [] {
      guard let process = name.split(separator: "-").first.flatMap({ Int32($0) }), kill(process, 0) != 0 else {
        continue
      }
      try? FileManager.default.removeItem(atPath: "\(parent)/\(name)")
    }
    return parent
  }()
  private static let count = Mutex(0)

  static func make() throws -> String {
    let number = count.withLock { count in
      count += 1
      return count
    }
    let path = "\(parent)/\(getpid())-\(number)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
  }
}
