import Failures
import Files

/// What can be said about a checkpoint file, even a damaged one.
package struct CheckpointSummary: Sendable {
  package let path: String
  /// Bytes.
  package let fileSize: Int
  package let seal: Seal
  /// Why the digest is wrong; nil if it is right.
  package let digestFailure: Failure?
  /// The file's content; nil if the digest is wrong, since a damaged file is not read any further.
  package let content: Content?

  package struct Content: Sendable {
    package let header: CheckpointHeader
    package let parameters: [TensorInfo]
    /// The names of the optimiser's slots.
    package let slots: [String]
    package let streamStates: [TensorInfo]
    package let history: History

    /// The number of values in all parameters.
    package var parameterCount: Int { parameters.reduce(0) { $0 + $1.count } }
  }

  /// - Throws: `ReportableError` (bad data) if the file is missing, of another format, truncated or of a newer version.
  package init(path: String) throws {
    self.path = path
    // Opened only once, since a running training may remove the file.
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
