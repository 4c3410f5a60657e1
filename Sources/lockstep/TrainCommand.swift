import ArgumentParser
import Configuration
import Failures
import Files
import Training
import Workers

struct TrainCommand: WorkerCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a language model or a tagger.",
    discussion: """
      Runs as one process, as threads of one process (--workers N), or as the ranks of 'mpirun -n N lockstep train …'. \
      The number of workers changes the speed and nothing else: weights, losses and checkpoints are the same, bit for bit.

      SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 and SIGXCPU ask for a checkpoint after the step at hand; a validation is \
      broken off. The command then exits with status 75, and --resume latest continues as if nothing had happened. A \
      second SIGINT ends it at once. Send SIGUSR1 to mpirun, which hands it on; on SIGTERM and SIGINT mpirun itself kills \
      the ranks two seconds later, unless started with '--mca odls_base_sigkill_timeout SECONDS'.

      'lockstep config' lists the keys of a configuration.
      """)

  @Argument(
    help: "Configuration, YAML; not with --replay.", completion: .file(extensions: ["yaml", "yml"]),
    transform: PathName.expandingHome)
  var config: String?

  @Option(
    name: .customLong("set"), parsing: .singleValue,
    help: ArgumentHelp("Override a key of the configuration; may be repeated.", valueName: "key=value"))
  var overrides: [String] = []

  @Option(
    help: ArgumentHelp(
      "Resume from a checkpoint: latest, best, or a path; auto is the latest if there is one, else a fresh start.",
      valueName: "checkpoint"),
    transform: PathName.expandingHome)
  var resume: String?

  @Flag(help: "Take the run directory from a run that has certainly ended, even though its lock looks active.")
  var breakLock = false

  @Option(
    help: ArgumentHelp(
      "Recompute up to the step in the report, as one process, and name the first value that is not "
        + "finite. Writes nothing.", valueName: "report"))
  var replay: String?

  @Option(help: ArgumentHelp("Number of worker threads. (default: 1)", valueName: "n"))
  var workers: Int?

  @Flag(
    name: .customLong("one-run-per-task"),
    help: "Under srun without MPI, train a run of its own in each task, as for a sweep over configurations.")
  var oneRunPerTask = false

  @OptionGroup var kernels: KernelOptions
  @OptionGroup var memory: MemoryOptions

  func run() throws {
    if let replay { return try run(replay: replay) }
    guard let config else {
      throw Failure(
        .usage, "no configuration is given", remedy: "give a YAML file, or --replay with a report")
    }
    let (overrides, resume, breakLock) = (overrides, resume, breakLock)
    if !oneRunPerTask { try WorkerLaunch.refuseSeparateTasks(override: "--one-run-per-task") }
    let arithmetic = try kernels.arithmetic()
    let fingerprint = Fingerprint(command: "train", arithmetic, options: memory.settings)
    try WorkerLaunch.run(threads: workers, sharedMemory: !memory.apart, fingerprint: fingerprint) { group in
      let configuration = try group.agreeing {
        let configuration = try RunConfiguration(contentsOf: config, overrides: overrides)
        try configuration.checkPlace(file: config, overrides: overrides)
        return configuration
      }
      let trainer = try Trainer(
        group, configuration: configuration, resume: resume, breakingLock: breakLock, arithmetic: arithmetic,
        logger: StandardErrorLog.logger)
      let summary = try trainer.run()
      if summary.wasStopped { throw Self.stopped(summary, configuration) }
      if group.rank == 0 { Self.report(summary, configuration) }
    }
  }

  private func run(replay path: String) throws {
    guard config == nil, resume == nil else {
      throw Failure(
        .usage, "a replay takes its configuration and checkpoint from the report", at: "--replay \(path)",
        remedy: "leave out \(config ?? "--resume"); --set changes a key")
    }
    let (overrides, arithmetic) = (overrides, try kernels.arithmetic())
    // WorkerLaunch detects ranks, which are rejected below.
    try WorkerLaunch.run(threads: 1) { group in
      try group.agreeing {
        guard group.count == 1 else {
          throw Failure(
            .usage, "a replay is one process", at: "--replay", remedy: "start it without mpirun: the bits are the same")
        }
        let replay = try Replay(path, overrides: overrides)
        let logger = StandardErrorLog.logger
        let start = replay.report.checkpoint ?? "the initial weights"
        logger.info("replaying step \(grouped(replay.report.step)) from \(start), as one worker")
        if replay.report.exchange == "allreduce", replay.report.workers > 1 {
          logger.info("the run summed gradients by allreduce on \(replay.report.workers) workers: last bits may differ")
        }
        let result = try replay.run(arithmetic: arithmetic, logger: logger)
        guard case .nothing = result else { return try StandardOutput.print(result.text) }
        throw Failure(
          .softwareFault, result.text, at: path,
          remedy: "what the run met did not happen again: suspect the machine, or another build or instruction set")
      }
    }
  }

  /// The error that all workers throw when a signal has ended the run, which can be resumed.
  private static func stopped(_ summary: Trainer.Summary, _ configuration: RunConfiguration) -> WorkerFailure {
    let failure = Failure(
      .stoppedBySignal, "stopped by a signal at step \(summary.position.step), after a checkpoint",
      remedy: "continue with --resume latest")
    return WorkerFailure(rank: 0, message: "\(failure)", exitStatus: failure.exitStatus, failedEverywhere: true)
  }

  /// Prints the results on standard output. Errors are not thrown: the run is complete and its checkpoint written.
  private static func report(_ summary: Trainer.Summary, _ configuration: RunConfiguration) {
    var lines = ["done: \(summary.position.step) steps, \(grouped(summary.position.tokens)) tokens"]
    if let validation = summary.validation {
      let nats = validation.natsPerToken
      lines.append("last validation: \(fixed(nats, 4)) nats/token, \(summary.lossUnit.text(nats))")
    }
    lines.append("peak memory \(readable(bytes: ProcessMemory.current.peak)) in the first worker's process")
    lines.append("weights sha256 \(summary.weightDigest)")
    lines.append("checkpoints: \(configuration.run.directory)/latest, \(configuration.run.directory)/best")
    do {
      try StandardOutput.print(lines.joined(separator: "\n"))
      try StandardOutput.finish()
    } catch is StandardOutput.ReaderGone {
      return
    } catch {
      StandardErrorLog.logger.warning("\(error)")
    }
  }
}
