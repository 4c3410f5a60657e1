import Checkpoints
import Failures

extension RunConfiguration {
  /// The configuration that a checkpoint was written under.
  ///
  /// - Throws: ``Failure`` (bad data) where this program can't read it.
  package init(checkpoint header: CheckpointHeader, at path: String) throws {
    do {
      try self.init(yaml: header.configuration, source: "\(path):/config")
    } catch {
      throw Failure(.badData, error.what, at: error.place, cause: error.cause, remedy: error.remedy)
    }
  }
}
