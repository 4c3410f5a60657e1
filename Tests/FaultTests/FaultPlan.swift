import Foundation
import Kernels
import Parameters

/// What happens to a run, drawn at random for one trial of a kind.
struct FaultPlan {
  enum Kind: String, CaseIterable, Sendable {
    case killProcess = "kill-process"
    case killThreads = "kill-threads"
    case killRank = "kill-rank"
    case killMPIRun = "kill-mpirun"
    case signalProcess = "signal-process"
    case signalThreads = "signal-threads"
    case signalMPIRun = "signal-mpirun"
    case signalRank = "signal-rank"
    case pauseProcess = "pause-process"
    case pauseRank = "pause-rank"
    case diskError = "disk-error"
    case diskFailure = "disk-failure"
    case diskErrorOfRanks = "disk-error-of-ranks"
    case poorFileSystem = "poor-file-system"
    case vanishedDirectory = "vanished-directory"

    var needsMPI: Bool {
      [.killRank, .killMPIRun, .signalMPIRun, .signalRank, .pauseRank, .diskErrorOfRanks].contains(self)
    }
  }

  enum Accident {
    /// A signal to what was started: the process, or mpirun.
    case signal(Int32)
    /// A signal to one of mpirun's ranks.
    case signalToRank(Int32, Int)
    /// SIGSTOP, and SIGCONT a while later.
    case pause(rank: Int?)
    /// The run directory is removed or renamed.
    case vanish(isRemoved: Bool)
    /// Nothing from outside: the shim answers.
    case disk
  }

  enum Moment {
    /// In this call that concerns the run directory, the first being 1; the first process to make so many is stopped in it.
    case call(Int)
    /// After this share of the time that an undisturbed run takes.
    case time(Double)
  }

  /// An answer of the disk's.
  struct DiskAnswer: CustomStringConvertible {
    let calls: String
    let first: Int
    /// 0: always.
    let count: Int
    let answer: String

    var description: String {
      "\(calls) answers \(answer) from number \(first) on, \(count == 0 ? "always" : "\(count) times")"
    }

    func variables(below directory: String) -> [String: String] {
      FaultShim.variables(below: directory, calls: calls, at: first, times: count, answer: answer)
    }
  }

  let kind: Kind
  let workers: FaultWorkers
  let accident: Accident
  let moment: Moment
  let disk: DiskAnswer?
  /// The run must come to its end in spite of the accident.
  let mustFinish: Bool
  /// An accident during the first resume.
  let diskOfResume: DiskAnswer?
  /// Who resumes.
  let resumeWorkers: FaultWorkers
}

extension FaultPlan {
  static func draw(_ kind: Kind, _ workload: FaultWorkload, _ random: inout RandomStream) -> FaultPlan {
    let threads = FaultWorkers.threads(random.within(2...5))
    let ranks = FaultWorkers.ranks(random.within(2...3))
    let oneOfRanks = if case .ranks(let count) = ranks { random.below(count) } else { 0 }
    let mpi = kind.needsMPI && random.happens(0.3)
    var workers: FaultWorkers = kind.needsMPI ? ranks : random.happens(0.7) ? .alone : threads
    var accident = Accident.disk
    var disk: DiskAnswer?
    let stopSignal = random.pick([SIGTERM, SIGINT, SIGUSR1, SIGHUP])
    switch kind {
    case .killProcess: (workers, accident) = (.alone, .signal(SIGKILL))
    case .killThreads: (workers, accident) = (threads, .signal(SIGKILL))
    case .killRank: accident = .signalToRank(SIGKILL, oneOfRanks)
    case .killMPIRun: accident = .signal(SIGKILL)
    case .signalProcess: (workers, accident) = (.alone, .signal(stopSignal))
    case .signalThreads: (workers, accident) = (threads, .signal(stopSignal))
    case .signalMPIRun: accident = .signal(stopSignal)
    case .signalRank: accident = .signalToRank(random.pick([SIGTERM, SIGUSR1]), oneOfRanks)
    case .pauseProcess: accident = .pause(rank: nil)
    case .pauseRank: accident = .pause(rank: oneOfRanks)
    case .diskError, .diskErrorOfRanks: disk = drawAnswer(workload, lasts: false, &random)
    case .diskFailure: disk = drawAnswer(workload, lasts: true, &random)
    case .poorFileSystem:
      let (calls, errors) = random.pick(Self.missingFeatures)
      disk = DiskAnswer(calls: calls, first: 1, count: 0, answer: "\(random.pick(errors))")
    case .vanishedDirectory: accident = .vanish(isRemoved: random.happens(0.5))
    }
    let moment =
      random.happens(0.7) ? Moment.call(random.within(1...workload.calls.count)) : .time(random.nextUnit())
    let resumesBadly = random.happens(0.2) && disk == nil
    return FaultPlan(
      kind: kind, workers: workers, accident: accident, moment: moment, disk: disk,
      mustFinish: [.pauseProcess, .poorFileSystem].contains(kind),
      diskOfResume: resumesBadly ? drawAnswer(workload, lasts: random.happens(0.5), &random) : nil,
      resumeWorkers: mpi ? ranks : random.happens(0.5) ? .alone : threads)
  }

  /// An error at a random one of the calls that can meet it.
  private static func drawAnswer(_ workload: FaultWorkload, lasts: Bool, _ random: inout RandomStream) -> DiskAnswer {
    let (group, errors) = random.pick(Self.errors.filter { workload.calls.contains($0.group) })
    let calls = workload.calls.count { $0 == group }
    let first = random.within(1...calls)
    let count = lasts ? 0 : random.within(1...3)
    let answer = random.pick(errors)
    // EINTR asks for another try, which a disk grants in the end.
    return DiskAnswer(calls: group, first: first, count: answer == "\(EINTR)" ? max(count, 3) : count, answer: answer)
  }

  /// What each group of calls may answer on real disks.
  private static let errors: [(group: String, answers: [String])] = [
    ("create", [ENOSPC, EIO, EPERM, EROFS, EDQUOT, EMFILE]), ("write", [ENOSPC, EIO, EDQUOT, EFBIG, EINVAL]),
    ("truncate", [EIO, ENOSPC]), ("sync", [EIO, ENOSPC, EDQUOT]), ("sync-directory", [EIO, EINVAL]),
    ("close", [EIO, ENOSPC]), ("rename", [EIO, ENOSPC, EPERM]), ("link", [EPERM, ENOSPC, EIO]),
    ("symlink", [EPERM, ENOSPC, EIO]), ("unlink", [EIO, EPERM]), ("mkdir", [ENOSPC, EPERM, EIO]),
    ("lock", [ENOLCK, EINVAL, EPERM, EIO]), ("read", [EIO]), ("open", [EIO, EPERM, EMFILE]),
  ].map { ($0.0, $0.1.map { "\($0)" } + ($0.0 == "write" ? ["short", "\(EINTR)"] : [])) }

  /// What some file systems cannot do, and a run can do without.
  private static let missingFeatures: [(calls: String, errors: [Int32])] = [
    ("symlink", [EPERM, ENOSYS, EOPNOTSUPP]), ("sync-directory", [EINVAL]), ("lock", [ENOLCK, EOPNOTSUPP, ENOSYS]),
    ("symlink,sync-directory,lock", [EINVAL]),
  ]
}

extension FaultPlan: CustomStringConvertible {
  var description: String {
    var parts = ["\(workers)"]
    switch accident {
    case .signal(let number): parts.append("signal \(number)")
    case .signalToRank(let number, let rank): parts.append("signal \(number) to rank \(rank)")
    case .pause(let rank): parts.append("paused\(rank.map { ", rank \($0)" } ?? "")")
    case .vanish(let isRemoved): parts.append("directory \(isRemoved ? "removed" : "renamed")")
    case .disk: break
    }
    if let disk {
      parts.append("\(disk)")
    } else {
      switch moment {
      case .call(let number): parts.append("in call \(number)")
      case .time(let share): parts.append("at \(Int(share * 100)) % of the time")
      }
    }
    if let answer = diskOfResume {
      parts.append("while it resumes \(answer)")
    }
    return parts.joined(separator: ", ") + "; resumed by \(resumeWorkers)"
  }
}
