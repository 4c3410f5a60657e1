import Failures

/// The failure that all workers agreed on (``WorkerGroup/agree(_:)``): every worker throws the same one.
package struct WorkerFailure: ReportableError, Equatable {
  /// The lowest rank that failed.
  package let rank: Int
  /// That worker's error message.
  package let message: String
  package let exitStatus: ExitStatus
  /// Whether every worker failed: then the place in the message is enough, and naming one worker would mislead.
  package let failedEverywhere: Bool

  package init(rank: Int, message: String, exitStatus: ExitStatus, failedEverywhere: Bool) {
    self.rank = rank
    self.message = message
    self.exitStatus = exitStatus
    self.failedEverywhere = failedEverywhere
  }

  /// `error` as the failure of worker `rank`. One that was already agreed on stays what it is.
  init(_ error: any Error, rank: Int, failedEverywhere: Bool) {
    if let agreed = error as? WorkerFailure {
      self = agreed
    } else {
      self.init(
        rank: rank, message: "\(error)", exitStatus: ExitStatus(error), failedEverywhere: failedEverywhere)
    }
  }

  package var description: String { failedEverywhere ? message : "worker \(rank): \(message)" }
}

/// Thrown by the collectives of a worker because another one gave up; the other's error is the one to report.
package struct WorkerInterrupted: ReportableError, Equatable {
  package var exitStatus: ExitStatus { .softwareFault }
  package var description: String { "interrupted because another worker failed" }
}

extension ExitStatus {
  /// How a process ends because of `error`: errors of no known kind are our own fault.
  package init(_ error: any Error) {
    self = (error as? any ReportableError)?.exitStatus ?? .softwareFault
  }
}
