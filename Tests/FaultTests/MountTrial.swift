import Foundation
import Kernels
import Parameters
import TestSupport

/// A run on a disk that is really full, or really read-only: a small tmpfs in a mount namespace of its own, where root's
/// rights don't help.
struct MountTrial {
  enum Kind: String, CaseIterable, Sendable {
    case fullDisk = "full-disk"
    case readOnlyDisk = "read-only-disk"
  }

  let kind: Kind
  let workload: FaultWorkload
  let directory: String

  static let isPossible: Bool = {
    guard getuid() == 0 else { return false }
    let outcome = try? ChildProcess.run(
      "unshare", ["-m", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt && umount /mnt"], deadline: .seconds(20))
    return outcome?.status == 0
  }()

  /// The stages of a trial: what is done to the disk, and whether training must fail on it.
  private struct Stage {
    let preparation: String
    var environment: [String: String] = [:]
    let arguments: [String]
    let statuses: [Int32]
  }

  /// - Returns: a word for how the first run ended.
  func carryOut(_ random: inout RandomStream) throws -> String {
    let resume = ["--resume", "auto"] + (random.happens(0.5) ? ["--workers", "\(random.within(2...5))"] : [])
    let stages: [Stage]
    switch kind {
    case .fullDisk:
      // From no room for a directory to nearly enough for all.
      let kilobytes = 4 * random.within(1...max(2, workload.size * 3 / 2 / 4096))
      stages = [
        Stage(preparation: "mount -t tmpfs -o size=\(kilobytes)k tmpfs disk", arguments: [], statuses: [0, 73]),
        Stage(preparation: "mount -o remount,size=64m disk", arguments: resume, statuses: [0]),
      ]
    case .readOnlyDisk:
      let call = random.within(1...workload.calls.count)
      let kill = FaultShim.variables(below: directory + "/disk/run", at: call, answer: "kill")
      let readOnly = "mount -o remount,ro disk"
      let writable = "mount -o remount,rw disk"
      stages = [
        Stage(preparation: "mount -t tmpfs -o size=64m tmpfs disk; \(readOnly)", arguments: [], statuses: [73]),
        Stage(preparation: writable, environment: kill, arguments: [], statuses: [137]),
        Stage(preparation: readOnly, arguments: resume, statuses: [73]),
        Stage(preparation: writable, arguments: resume, statuses: [0]),
      ]
    }
    let outcomes = try run(stages)
    for (number, (stage, outcome)) in zip(stages, outcomes).enumerated() {
      let stop = outcome.misbehaviour(killed: stage.statuses.contains(137))
      if let stop { throw FaultTrial.Finding("stage \(number + 1) of \(stages[0].preparation): \(stop)") }
      guard stage.statuses.contains(outcome.status) else {
        throw FaultTrial.Finding(
          "stage \(number + 1), after '\(stage.preparation)' (\(stages[0].preparation)): "
            + "status \(outcome.status)\(outcome.excerpt)")
      }
      guard outcome.status != 73 || outcome.errorLines.count == 1 else {
        throw FaultTrial.Finding("status 73 with \(outcome.errorLines.count) messages\(outcome.excerpt)")
      }
    }
    if outcomes[0].status == 0 { return "finished" }
    let flaws = try FinishedRun(directory: directory + "/copy", outcome: outcomes[outcomes.count - 1])
      .flaws(comparedWith: workload.whole)
    guard flaws.isEmpty else {
      throw FaultTrial.Finding("resumed (\(stages[0].preparation)): \(flaws.joined(separator: "; "))")
    }
    return "resumed"
  }

  /// Runs the stages in one namespace, which ends, and the disk with it, when they have; the run directory is copied before.
  private func run(_ stages: [Stage]) throws -> [ChildProcess.Outcome] {
    var script = "mkdir disk\n"
    for (number, stage) in stages.enumerated() {
      let variables = stage.environment.map { "\($0.key)='\($0.value)'" }.joined(separator: " ")
      let command = FaultWorkload.arguments + ["--set", "run.directory=disk/run"] + stage.arguments
      script += """
        { \(stage.preparation); } || exit 99
        env \(variables) "$0" \(command.joined(separator: " ")) >\(number).out 2>\(number).err
        echo $? >\(number).status

        """
    }
    script += "cp -a disk/run copy\n"
    let all = try ChildProcess.run(
      "unshare", ["-m", "sh", "-c", script, ChildProcess.path(of: "lockstep")],
      environment: ChildProcess.inheritedEnvironment.merging(TrialCommand.variables) { $1 }, directory: directory,
      deadline: FaultWorkload.deadline)
    func text(_ name: String) -> String { (try? String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8)) ?? "" }
    return try stages.indices.map { number in
      guard let status = Int32(text("\(number).status").trimmingCharacters(in: .newlines)) else {
        throw FaultTrial.Finding("stage \(number + 1) \(all.timedOut ? "hung" : "did not run")\(all.excerpt)")
      }
      return ChildProcess.Outcome(
        status: status, standardOutput: text("\(number).out"), standardError: text("\(number).err"),
        wallTime: all.wallTime, timedOut: false)
    }
  }
}
