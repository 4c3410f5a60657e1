import Failures
import Files

/// What there is to say about a checkpoint file, also about a damaged one.
package struct CheckpointSummary: Sendable {
  package let path: String
  /// Bytes.
  package let fileSize: Int
  package let seal: Seal
  /// Why the digest is wrong; nil if it is right.
  package let digestFailure: Failure?
  /// What the file holds; nil if the digest is wrong, since a damaged file is not read any further.
  package let content: Content?

  package struct Content: Sendable {
    package let header: CheckpointHeader
    package let parameters: [TensorInfo]
    /// What the optimiser keeps per weight: the names of its slots.
    package let slots: [String]
    package let streamStates: [TensorInfo]
    package let history: History

    /// Values in all parameters.
    package var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }
  }

  /// - Throws: `ReportableError` (bad data) if the file is missing, foreign, truncated or of a newer version.
  package init(path: String) throws {
    self.path = path
    // Opened once: a run that is writing there may remove the name.
    let file = try PosixFile(path)
    let seal = try Seal(of: file, as: .checkpoint)
    self.seal = seal
    fileSize = Seal.size + seal.byteCount
    do {
      try seal.verifyDigest(of: file)
    } catch let failure as Failure {
      digestFailure = failure
      content = nil
      return
    }
    digestFailure = nil
    let reader = try CheckpointReader(path: path, verifyDigest: false)
    content = Content(
      header: reader.header, parameters: reader.parameters, slots: reader.slots, streamStates: reader.streamStates,
      history: try reader.history())
  }
}
