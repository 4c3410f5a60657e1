/// What a stop signal leads to, by what the program is busy with when it comes.
package enum StopPromise: UInt8, Sendable {
  case end
  case endLeavingNothing
  case stopBeforeFirstStep
  case stopAfterStep
  case breakOffValidation
  case stopAfterCheckpoint

  /// For the message that acknowledges the signal.
  package var text: String {
    switch self {
    case .end: "ending"
    case .endLeavingNothing: "ending, and leaving nothing behind"
    case .stopBeforeFirstStep: "stopping before the first step"
    case .stopAfterStep: "stopping after this step, with a checkpoint"
    case .breakOffValidation: "breaking off the validation, with a checkpoint"
    case .stopAfterCheckpoint: "stopping after this checkpoint"
    }
  }
}
