import ArgumentParser
import Configuration
import Failures
import Files
import Kernels
import Training
import Workers

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check that the number of workers changes no bit.",
    discussion: """
      Runs a few steps of a configuration on each number of workers, as threads of this process, and compares losses, \
      gradient norms, weights, optimiser slots and carried states bit by bit. Writes nothing and needs no run directory. \
      Exit status 0: all bits are the same; 70: some differ, and the first tensor is named.
      """)

  @Argument(help: "Configuration, YAML.", completion: .file(extensions: ["yaml", "yml"]))
  var config: String

  @Option(
    name: .customLong("set"), parsing: .singleValue,
    help: ArgumentHelp("Override a key of the configuration; may be repeated.", valueName: "key=value"))
  var overrides: [String] = []

  @Option(help: ArgumentHelp("Worker counts to compare.", valueName: "n,n,…"))
  var workers: String = "1,2,4"

  @Option(help: "Optimiser steps per worker count.")
  var steps: Int = 5

  @OptionGroup var kernels: KernelOptions

  func run() throws {
    let counts = try checkedCounts()
    guard steps >= 1 else {
      throw Failure(.usage, "\(steps) is not a valid number of steps", at: "--steps", remedy: "give 1 or more")
    }
    let (config, overrides, steps, arithmetic) = (config, overrides, steps, try kernels.arithmetic())
    // WorkerLaunch detects ranks, which are rejected below: each would do the same work.
    try WorkerLaunch.run(threads: 1) { group in
      try group.agreeing {
        guard group.count == 1 else {
          throw Failure(.usage, "verify starts its workers itself", at: "mpirun", remedy: "start it without mpirun")
        }
        let configuration = try RunConfiguration(contentsOf: config, overrides: overrides)
        try Self.compare(counts, Verification(configuration, steps: steps), configuration, arithmetic)
      }
    }
  }

  private static func compare(
    _ counts: [Int], _ verification: Verification, _ configuration: RunConfiguration,
    _ arithmetic: Arithmetic
  ) throws {
    var reference: Verification.Outcome?
    for count in counts {
      let outcome = try verification.run(workers: count, arithmetic: arithmetic, logger: StandardErrorLog.logger)
      let name = count == 1 ? "1 worker" : "\(count) workers"
      guard let reference else {
        reference = outcome
        try StandardOutput.print("\(name): \(outcome.steps.count) steps")
        continue
      }
      if let difference = Verification.difference(reference, outcome) {
        let isAllReduce = configuration.training.exchange == .allreduce
        throw Failure(
          .softwareFault, "\(name) and \(reference.workers) give other bits: \(difference)", at: "verify",
          remedy: isAllReduce
            ? "training.exchange: allreduce sums in an order that depends on the workers; tree does not"
            : "this must not happen: run it again, and if it differs again report it; if not, suspect the machine")
      }
      try StandardOutput.print("\(name): the same bits")
    }
  }

  private func checkedCounts() throws -> [Int] {
    let counts = workers.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    guard counts.count >= 2, counts.allSatisfy({ ($0 ?? 0) >= 1 }) else {
      throw Failure(
        .usage, "'\(workers)' is not a list of worker counts", at: "--workers",
        remedy: "give two numbers or more with commas between, such as 1,2,4")
    }
    return counts.compactMap { $0 }
  }
}
