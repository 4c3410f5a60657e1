import Failures
import Foundation

/// The failure that all workers agreed on (``WorkerGroup/agree(_:)``): every worker throws the same one.
package struct WorkerFailure: ReportableError, Equatable, Codable {
  /// The lowest rank that failed.
  package let rank: Int
  /// That worker's error message.
  package let message: String
  package let exitStatus: ExitStatus
  /// Whether every worker failed in the same way: then the place in the message is enough, and naming one worker would
  /// mislead.
  package let failedEverywhere: Bool
  /// One message for each different error, in the order of the lowest ranks that met it. Each names its workers, unless
  /// all met the same.
  package let messages: [String]

  package init(rank: Int, message: String, exitStatus: ExitStatus, failedEverywhere: Bool) {
    self.init(
      rank: rank, message: message, exitStatus: exitStatus, failedEverywhere: failedEverywhere,
      messages: [failedEverywhere ? message : "\(WorkerName(rank: rank, host: nil)): \(message)"])
  }

  private init(rank: Int, message: String, exitStatus: ExitStatus, failedEverywhere: Bool, messages: [String]) {
    (self.rank, self.message, self.exitStatus) = (rank, message, exitStatus)
    (self.failedEverywhere, self.messages) = (failedEverywhere, messages)
  }

  /// `error` as the failure of one worker. One that was already agreed on stays what it is.
  init(_ error: any Error, of worker: WorkerName, failedEverywhere: Bool) {
    if let agreed = error as? WorkerFailure {
      self = agreed
    } else {
      self.init(
        rank: worker.rank, message: "\(error)", exitStatus: ExitStatus(error), failedEverywhere: failedEverywhere,
        messages: [failedEverywhere ? "\(error)" : "\(worker): \(error)"])
    }
  }

  package var description: String { messages.joined(separator: "\n") }
}

extension WorkerFailure {
  /// What one worker tells the others about its failure.
  struct Report: Codable {
    let worker: WorkerName
    let message: String
    let exitStatus: ExitStatus
    /// Set where the error had been agreed on before.
    let agreed: WorkerFailure?

    init(_ error: any Error, of worker: WorkerName) {
      self.worker = worker
      message = "\(error)"
      exitStatus = ExitStatus(error)
      agreed = error as? WorkerFailure
    }
  }

  /// The failure of a group of `count` workers, of which those with a report failed. nil: none did.
  init?(_ reports: [Report], of count: Int) {
    guard let first = reports.first else { return nil }
    if let agreed = first.agreed {
      self = agreed
      return
    }
    var cases: [(message: String, workers: [WorkerName])] = []
    for report in reports {
      if let index = cases.firstIndex(where: { $0.message == report.message }) {
        cases[index].workers.append(report.worker)
      } else {
        cases.append((report.message, [report.worker]))
      }
    }
    let failedEverywhere = cases.count == 1 && reports.count == count
    var messages = cases.prefix(Self.mostMessages).map { message, workers in
      failedEverywhere ? message : "\(WorkerName.list(workers)): \(message)"
    }
    let rest = cases.dropFirst(Self.mostMessages).flatMap(\.workers)
    if !rest.isEmpty { messages.append("\(WorkerName.list(rest)): other errors of this kind") }
    self.init(
      rank: first.worker.rank, message: first.message, exitStatus: first.exitStatus,
      failedEverywhere: failedEverywhere, messages: messages)
  }

  /// A file that each rank names in its own way must not fill the screen.
  private static let mostMessages = 4
}

/// Thrown by the collectives of a worker because another one gave up; the other's error is the one to report.
package struct WorkerInterrupted: ReportableError, Equatable {
  package var exitStatus: ExitStatus { .softwareFault }
  package var description: String { "interrupted because another worker failed" }
}

/// Thrown by ``WorkerLaunch`` for an error that has been printed already.
package struct ReportedFailure: ReportableError, Equatable {
  package let exitStatus: ExitStatus
  package let description: String

  init(_ failure: WorkerFailure) { (exitStatus, description) = (failure.exitStatus, "\(failure)") }
}

extension ExitStatus: Codable {
  /// How a process ends because of `error`: errors of no known kind are our own fault.
  package init(_ error: any Error) {
    self = (error as? any ReportableError)?.exitStatus ?? .softwareFault
  }
}
