import Checkpoints
import Failures
import Files
import Workers

extension CheckpointReader {
  /// Opens the same checkpoint on all workers; collective.
  ///
  /// The first worker resolves `name` and broadcasts the path and digest; each worker opens its file at this path,
  /// which
  /// must have this digest. If each resolved `latest` itself, hosts could open different steps.
  ///
  /// - Parameters:
  ///   - name: `latest`, `best` or a path.
  ///   - directory: the run directory that `latest` and `best` belong to.
  /// - Throws: ``WorkerFailure``.
  package static func open(_ name: String, in directory: String, by group: any WorkerGroup) throws -> CheckpointReader {
    var failed: (chosen: Chosen, error: any Error)?
    while true {
      let chosen = try group.fromFirst { try Self.choose(name, in: directory) }
      // A run that is writing there may have replaced the file: try again if the choice has changed.
      if let failed, failed.chosen == chosen { throw failed.error }
      do {
        return try group.agreeing { try Self.open(chosen) }
      } catch {
        failed = (chosen, error)
      }
    }
  }

  /// Resolves `name`, again if a run replaces the checkpoint meanwhile.
  private static func choose(_ name: String, in directory: String) throws -> Chosen {
    while true {
      let path = try CheckpointStore.resolve(name, in: directory)
      do {
        return Chosen(path: path, sha256: try Seal(of: path, as: .checkpoint).sha256)
      } catch {
        guard try CheckpointStore.resolve(name, in: directory) != path else { throw error }
      }
    }
  }

  private static func open(_ chosen: Chosen) throws -> CheckpointReader {
    let remedy = "give all hosts the checkpoint of the first rank under this path: a shared directory, or a copy"
    do {
      _ = try PosixFile(chosen.path)
    } catch let failure as Failure {
      throw Failure(failure.exitStatus, failure.what, at: failure.place, cause: failure.cause, remedy: remedy)
    }
    let reader = try CheckpointReader(path: chosen.path)
    guard reader.seal.sha256 == chosen.sha256 else {
      throw Failure(.badData, "differs from the first rank's checkpoint", at: chosen.path, remedy: remedy)
    }
    return reader
  }

  private struct Chosen: Codable, Equatable {
    let path: String
    let sha256: String
  }
}
