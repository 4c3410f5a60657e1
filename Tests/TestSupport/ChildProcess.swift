import Foundation

/// A program that a test starts in a process group of its own, watches, and ends for sure.
///
/// Foundation's `Process` neither makes a group nor resets the signal mask, which children of the test runner's threads
/// would inherit: signals sent to them would stay pending for ever.
package final class ChildProcess {
  /// How a program ended.
  package struct Outcome: Sendable {
    /// The exit status; 128 + n after signal n, as shells have it.
    package let status: Int32
    package let standardOutput: String
    package let standardError: String
    package let wallTime: Duration
    /// The deadline passed, and the program was killed.
    package let timedOut: Bool

    package init(status: Int32, standardOutput: String, standardError: String, wallTime: Duration, timedOut: Bool) {
      self.status = status
      self.standardOutput = standardOutput
      self.standardError = standardError
      self.wallTime = wallTime
      self.timedOut = timedOut
    }
  }

  package let processIdentifier: pid_t
  private let outputFile: String
  private let errorFile: String
  private let started = ContinuousClock.now

  /// Starts `executable`, a path, or a name to look for beside the test bundle and then in PATH.
  ///
  /// - Parameter environment: all of it; nil for ``inheritedEnvironment``.
  package init(
    _ executable: String, _ arguments: [String] = [], environment: [String: String]? = nil, directory: String? = nil
  ) throws {
    let base = NSTemporaryDirectory() + "/lockstep-child-\(UUID().uuidString)"
    (outputFile, errorFile) = (base + ".out", base + ".err")

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    // Files, not pipes: a pipe that nobody empties would stop the child.
    posix_spawn_file_actions_addopen(&actions, 1, outputFile, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_addopen(&actions, 2, errorFile, O_WRONLY | O_CREAT | O_TRUNC, 0o600)

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var unmasked = sigset_t()
    sigemptyset(&unmasked)
    var defaulted = sigset_t()
    sigemptyset(&defaulted)
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU, SIGXFSZ, SIGPIPE] {
      sigaddset(&defaulted, signal)
    }
    posix_spawnattr_setsigmask(&attributes, &unmasked)
    posix_spawnattr_setsigdefault(&attributes, &defaulted)
    posix_spawnattr_setpgroup(&attributes, 0)
    let flags = POSIX_SPAWN_SETPGROUP | Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF)
    posix_spawnattr_setflags(&attributes, Int16(flags))

    var command = [Self.path(of: executable)] + arguments
    // env replaces itself by the program; the call of posix_spawn for this is hidden from Swift.
    if let directory { command = ["env", "-C", directory] + command }
    let argv = command.map { strdup($0) } + [nil]
    let variables = environment ?? Self.inheritedEnvironment
    let envp = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in argv + envp { free(pointer) } }
    var identifier: pid_t = 0
    let status = posix_spawnp(&identifier, command[0], &actions, &attributes, argv, envp)
    guard status == 0 else { throw POSIXError(POSIXErrorCode(rawValue: status) ?? .ENOENT) }
    processIdentifier = identifier
  }

  deinit {
    try? FileManager.default.removeItem(atPath: outputFile)
    try? FileManager.default.removeItem(atPath: errorFile)
  }

  /// Starts a program and waits for its end.
  package static func run(
    _ executable: String, _ arguments: [String] = [], environment: [String: String]? = nil, directory: String? = nil,
    deadline: Duration
  ) throws -> Outcome {
    try ChildProcess(executable, arguments, environment: environment, directory: directory).wait(deadline: deadline)
  }

  /// What the program has written so far.
  package var standardOutput: String { text(outputFile) }
  package var standardError: String { text(errorFile) }

  /// Sends a signal to the program alone, not to its children.
  package func send(_ signal: Int32) { kill(processIdentifier, signal) }

  /// Waits for the end of the program; `deadline` after its start it is killed with all its descendants.
  package func wait(deadline: Duration) -> Outcome {
    var status: Int32 = 0
    var timedOut = false
    while waitpid(processIdentifier, &status, WNOHANG) == 0 {
      usleep(5000)
      guard ContinuousClock.now - started > deadline else { continue }
      timedOut = true
      // mpirun puts the ranks into groups of their own, so the group is not enough.
      let descendants = Self.descendants(of: processIdentifier)
      kill(-processIdentifier, SIGKILL)
      for descendant in descendants { kill(descendant, SIGKILL) }
      waitpid(processIdentifier, &status, 0)
      break
    }
    let signal = status & 0x7F
    return Outcome(
      status: signal == 0 ? (status >> 8) & 0xFF : 128 + signal, standardOutput: standardOutput,
      standardError: standardError, wallTime: ContinuousClock.now - started, timedOut: timedOut)
  }

  /// The environment of the test without the variables of a launcher that may have started it: mpirun inside of mpirun
  /// does not work, and a plain program would take itself for a rank.
  package static var inheritedEnvironment: [String: String] {
    ProcessInfo.processInfo.environment.filter { name, _ in
      !["OMPI_", "PMIX_", "PMI_", "ORTE_", "PRTE_", "MV2_"].contains { name.hasPrefix($0) }
    }
  }

  /// The directory that the build puts executables and the test bundle in.
  package static var buildDirectory: String {
    let bundle =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return (bundle as NSString).deletingLastPathComponent
  }

  /// A product of the package is found beside the test bundle; any other name is left for PATH.
  package static func path(of executable: String) -> String {
    let built = buildDirectory + "/" + executable
    return !executable.contains("/") && access(built, X_OK) == 0 ? built : executable
  }

  /// The descendants of `ancestor` that run a program of this name, ascending.
  package static func descendants(of ancestor: pid_t, named name: String) -> [pid_t] {
    descendants(of: ancestor).filter { descendant in
      (try? String(contentsOfFile: "/proc/\(descendant)/comm", encoding: .utf8)) == "\(name)\n"
    }.sorted()
  }

  /// The processes that descend from `ancestor`, as far as their parents are still there.
  package static func descendants(of ancestor: pid_t) -> [pid_t] {
    var children: [pid_t: [pid_t]] = [:]
    for name in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
      guard let process = pid_t(name), let line = try? String(contentsOfFile: "/proc/\(name)/stat", encoding: .utf8),
        // "PID (NAME) STATE PARENT …", and a name may hold spaces and parentheses.
        let parent = line.split(separator: ")").last?.split(separator: " ").dropFirst().first.flatMap({ pid_t($0) })
      else { continue }
      children[parent, default: []].append(process)
    }
    var found: [pid_t] = []
    var open = [ancestor]
    while let next = open.popLast() {
      found += children[next] ?? []
      open += children[next] ?? []
    }
    return found
  }

  private func text(_ path: String) -> String {
    String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
  }
}
