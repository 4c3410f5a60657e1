import Foundation
import TestSupport

/// One run, one accident, and the run that resumes it.
struct FaultTrial {
  let plan: FaultPlan
  let workload: FaultWorkload
  let directory: String

  private var run: String { directory + "/run" }

  /// A reason why the trial failed.
  struct Finding: Error {
    let description: String
    init(_ description: String) { self.description = description }
  }

  /// - Returns: a word for how the disturbed run ended.
  func carryOut() throws -> String {
    let first = try disturbedRun()
    try judge(first)
    try waitForProcesses()
    if first.status == 0, FileManager.default.fileExists(atPath: run) {
      try expectWhole(first, "undisturbed after all")
      return "finished"
    }
    if let answer = plan.diskOfResume {
      let second = try workload.start(
        plan.resumeWorkers, in: directory, environment: answer.variables(below: run), arguments: resume
      ).wait(deadline: FaultWorkload.deadline)
      try judgeDiskError(second)
      if second.status == 0 {
        try expectWhole(second, "resumed in spite of an error")
        return "resumed"
      }
    }
    let last = try workload.start(plan.resumeWorkers, in: directory, arguments: resume)
      .wait(deadline: FaultWorkload.deadline)
    guard last.status == 0 else {
      throw Finding(
        "can't be resumed after status \(first.status)\(first.excerpt): status \(last.status)\(last.excerpt)")
    }
    try expectWhole(last, "resumed after status \(first.status)\(first.excerpt)")
    return "resumed"
  }

  private var resume: [String] { ["--resume", "auto"] }

  // MARK: The accident

  private func disturbedRun() throws -> ChildProcess.Outcome {
    var environment: [String: String] = [:]
    if let disk = plan.disk {
      environment = disk.variables(below: run)
    } else if case .call(let number) = plan.moment {
      environment = FaultShim.variables(below: run, at: number, answer: "stop")
    }
    let process = try workload.start(plan.workers, in: directory, environment: environment)
    if plan.disk == nil {
      awaitMoment(of: process)
      // Ranks whose mpirun is killed have another parent afterwards.
      let members = members(of: process)
      try disturb(process)
      // Who was stopped for the moment continues, if it is still there. Nobody else is told to: ranks take mpirun's SIGCONT
      // for the announcement of their end.
      for member in members where state(of: member) == "T" { kill(member, SIGCONT) }
    }
    return process.wait(deadline: FaultWorkload.deadline)
  }

  private func awaitMoment(of process: ChildProcess) {
    switch plan.moment {
    case .time(let share):
      usleep(UInt32(share * (workload.wallTime / .microseconds(1))))
    case .call:
      let deadline = ContinuousClock.now + .seconds(60)
      while ContinuousClock.now < deadline {
        let states = members(of: process).compactMap(state(of:))
        if states.contains("T") || states.allSatisfy({ $0 == "Z" }) { return }
        usleep(2000)
      }
    }
  }

  private func disturb(_ process: ChildProcess) throws {
    switch plan.accident {
    case .signal(let number): process.send(number)
    case .signalToRank(let number, let rank):
      let ranks = ranks(of: process)
      if !ranks.isEmpty { kill(ranks[rank % ranks.count], number) }
    case .pause(let rank):
      let ranks = ranks(of: process)
      let paused = rank.flatMap { ranks.isEmpty ? nil : ranks[$0 % ranks.count] } ?? process.processIdentifier
      kill(paused, SIGSTOP)
      usleep(300_000)
    case .vanish(let isRemoved):
      // Removing takes a while, in which the run may write more.
      for _ in 0..<100 where FileManager.default.fileExists(atPath: run) {
        if isRemoved { try? FileManager.default.removeItem(atPath: run) } else { rename(run, directory + "/gone") }
      }
    case .disk: break
    }
  }

  private func members(of process: ChildProcess) -> [pid_t] {
    [process.processIdentifier] + ChildProcess.descendants(of: process.processIdentifier)
  }

  /// mpirun's ranks, by age.
  private func ranks(of process: ChildProcess) -> [pid_t] {
    ChildProcess.descendants(of: process.processIdentifier).filter { name(of: $0) == "lockstep" }.sorted()
  }

  private func name(of process: pid_t) -> String? {
    try? String(contentsOfFile: "/proc/\(process)/comm", encoding: .utf8).trimmingCharacters(in: .newlines)
  }

  private func state(of process: pid_t) -> String? {
    (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8))
      .flatMap { $0.split(separator: ")").last?.split(separator: " ").first.map(String.init) }
  }

  /// Waits until no process of the run is left; one that mpirun left behind has some seconds to notice.
  private func waitForProcesses() throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while true {
      let left = Self.processes(in: directory)
      if left.isEmpty { return }
      guard ContinuousClock.now < deadline else {
        for process in left { kill(process, SIGKILL) }
        throw Finding("\(left.count) processes of the run are still there 20 s after its end")
      }
      usleep(20_000)
    }
  }

  private static func processes(in directory: String) -> [pid_t] {
    ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { pid_t($0) }.filter { process in
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/cwd"))?.hasPrefix(directory) == true
    }
  }
}

// MARK: - Judgement

extension FaultTrial {
  private func expectWhole(_ outcome: ChildProcess.Outcome, _ how: String) throws {
    // A lock that could not be removed is nobody's: the next start takes it.
    let refusesRemoval = [plan.disk, plan.diskOfResume].contains { $0?.calls == "unlink" }
    let flaws = try FinishedRun(directory: run, outcome: outcome)
      .flaws(comparedWith: workload.whole, mayLeave: refusesRemoval ? ["lock"] : [])
    guard flaws.isEmpty else { throw Finding("\(how): \(flaws.joined(separator: "; "))") }
  }

  private func judge(_ outcome: ChildProcess.Outcome) throws {
    let isKill: Bool
    switch plan.accident {
    case .signal(SIGKILL), .signalToRank(SIGKILL, _): isKill = true
    default: isKill = false
    }
    if let misbehaviour = outcome.misbehaviour(killed: isKill) { throw Finding(misbehaviour) }
    if plan.mustFinish, outcome.status != 0 {
      throw Finding("did not finish: status \(outcome.status)\(outcome.excerpt)")
    }
    switch plan.accident {
    case .signal(let number) where number != SIGKILL: try judgeSignal(number, outcome)
    case .signalToRank(let number, _) where number != SIGKILL: try judgeSignal(number, outcome)
    case .pause:
      // A rank that is told to continue may take that for mpirun's announcement, and the run stops with a checkpoint.
      guard [0, 75].contains(outcome.status) else {
        throw Finding("paused: status \(outcome.status)\(outcome.excerpt)")
      }
    case .disk: try judgeDiskError(outcome)
    case .vanish: try judgeVanishing(outcome)
    default: break
    }
  }

  /// A stop signal is answered by a checkpoint and status 75, unless the run was over, or had not begun.
  private func judgeSignal(_ number: Int32, _ outcome: ChildProcess.Outcome) throws {
    guard outcome.errorLines.isEmpty else {
      throw Finding("signal \(number) was answered by an error\(outcome.excerpt)")
    }
    if case .ranks = plan.workers, case .signal = plan.accident, number != SIGUSR1 {
      // mpirun answers these itself, with a status of its own.
      return
    }
    if [0, 75].contains(outcome.status) { return }
    let hasBegun = FileManager.default.fileExists(atPath: run + "/metrics.jsonl")
    // The handlers are among the first things that a process makes, but a signal may come before them.
    guard !hasBegun else {
      throw Finding("signal \(number) ended the run with status \(outcome.status)\(outcome.excerpt)")
    }
  }

  private func judgeDiskError(_ outcome: ChildProcess.Outcome) throws {
    if let misbehaviour = outcome.misbehaviour() { throw Finding(misbehaviour) }
    guard [0, 65, 73].contains(outcome.status) else {
      throw Finding("a disk's error ended the run with status \(outcome.status)\(outcome.excerpt)")
    }
    guard outcome.errorLines.count == (outcome.status == 0 ? 0 : 1) else {
      throw Finding("status \(outcome.status) with \(outcome.errorLines.count) messages\(outcome.excerpt)")
    }
  }

  /// Whether the run has looked at its directory for the last time: it only removes its lock.
  private func isOver(_ moment: FaultPlan.Moment) -> Bool {
    guard case .call(let number) = moment, let removal = workload.calls.lastIndex(of: "unlink") else { return false }
    return number > removal
  }

  private func judgeVanishing(_ outcome: ChildProcess.Outcome) throws {
    if outcome.status == 0 {
      // Then all was written before, or again.
      guard FileManager.default.fileExists(atPath: run + "/latest") || isOver(plan.moment) else {
        let isRenamed = FileManager.default.fileExists(atPath: directory + "/gone/latest")
        throw Finding("done, although its directory has \(isRenamed ? "another name" : "gone")\(outcome.excerpt)")
      }
      return
    }
    guard outcome.errorLines.count == 1 else {
      throw Finding("status \(outcome.status) with \(outcome.errorLines.count) messages\(outcome.excerpt)")
    }
    guard outcome.status == 73 || outcome.status == 65 else {
      throw Finding("status \(outcome.status) without its directory\(outcome.excerpt)")
    }
  }
}
