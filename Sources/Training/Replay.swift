import Configuration
import Failures
import Interfaces
import Kernels
import Logging
import Workers

/// Repeats the steps up to the one in a ``NonFiniteReport`` and finds the first value that is not finite.
///
/// It uses one worker, whatever the run used: along the tree the results are bitwise identical. It writes nothing and
/// takes no lock.
package struct Replay {
  /// What was found.
  package enum Result: Sendable, Equatable {
    /// A step's first value that is not finite, in the order of computation.
    case value(step: Int, NonFiniteProbe.Finding)
    /// The gradient was finite, but the weights after the update are not.
    case weights(step: Int, NonFiniteReport.Place)
    /// All steps were finite.
    case nothing(step: Int)

    package var text: String {
      switch self {
      case .value(let step, let finding): "step \(step): the first value that is not finite: \(finding.description)"
      case .weights(let step, let place):
        "step \(step): gradients are finite; after their update the first weight that is not is in row \(place.row) of "
          + place.tensor
      case .nothing(let step): "all values up to step \(step) are finite"
      }
    }
  }

  package let report: NonFiniteReport
  package let configuration: RunConfiguration

  /// - Parameter overrides: arguments of `--set`, such as a new path of the corpus.
  package init(_ path: String, overrides: [String]) throws {
    report = try NonFiniteReport(contentsOf: path)
    configuration = try RunConfiguration(
      yaml: report.configuration, source: "\(path):configuration", overrides: overrides)
  }

  /// - Throws: ``Failure`` or ``WorkerFailure``, for example if the corpus or the checkpoint no longer exists.
  package func run(arithmetic: Arithmetic, logger: Logger) throws -> Result {
    let trainer = try Trainer(
      SingleWorker(), configuration: configuration, resume: report.checkpoint, purpose: .trial,
      arithmetic: arithmetic, logger: logger)
    var probe = NonFiniteProbe()
    var reached = 0
    do {
      try trainer.trial(through: report.step) { step in
        probe = NonFiniteProbe()
        trainer.replica.workspace.probe = probe
        reached = step
      } didStep: { step, outcome in
        if step == report.step, let finding = probe.first { throw Found(.value(step: step, finding)) }
        if let place = trainer.firstNonFiniteWeight() { throw Found(.weights(step: step, place)) }
      }
    } catch let found as Found {
      return found.result
    } catch {
      guard let finding = probe.first else { throw error }
      return .value(step: reached, finding)
    }
    return .nothing(step: report.step)
  }

  private struct Found: Error {
    let result: Result
    init(_ result: Result) { self.result = result }
  }
}
