import Checkpoints
import Configuration
import Failures
import Files
import Foundation

extension RunDirectory {
  /// The parts of a directory that a run has claimed.
  struct Claim {
    let identity: RunIdentity
    let store: CheckpointStore
    let metrics: MetricsFile
    /// Lines for the log.
    let remarks: [String]
  }

  /// Claims the directory for a new run, for a fork, or for the run of `checkpoint` that is resumed here.
  ///
  /// - Throws: ``Failure`` (can't write) if another run's files are here.
  func claim(_ configuration: RunConfiguration, resuming checkpoint: CheckpointReader?) throws -> Claim {
    if let checkpoint, isOwn(checkpoint) { return try resume(configuration, checkpoint) }
    return try begin(configuration, from: checkpoint)
  }

  /// Whether the checkpoint is in this directory, whatever the path by which it was opened.
  private func isOwn(_ checkpoint: CheckpointReader) -> Bool {
    let own = CheckpointStore.path(step: checkpoint.header.step, in: path)
    return (try? Seal(of: own, as: .checkpoint)) == checkpoint.seal
  }

  // MARK: A new run, or a fork

  private func begin(_ configuration: RunConfiguration, from parent: CheckpointReader?) throws -> Claim {
    var remarks: [String] = []
    try checkNoCheckpoint(parent)
    let traces = try RunTraces(in: path)
    if traces.areOfARun {
      try checkSame(configuration, traces)
      if let place = try traces.setMetricsAside() {
        remarks.append("a run ended here before its first checkpoint: its metrics are in \(place)")
      }
    }
    let identity = RunIdentity.make(
      parent: parent.map { .init(run: $0.header.run?.id, step: $0.header.step) })
    if let parent {
      remarks.append("this is a fork of \(parent.path): a run of its own, from step \(parent.header.step)")
    }
    let store = try CheckpointStore(directory: path, keep: configuration.run.keep, traits: traits)
    try write(configuration, of: identity)
    return Claim(
      identity: identity, store: store, metrics: try openMetrics(identity, keeping: 0), remarks: remarks)
  }

  private func checkNoCheckpoint(_ parent: CheckpointReader?) throws {
    guard let latest = CheckpointStore.latest(in: path) else { return }
    guard let parent else {
      throw Failure(
        .cannotWrite, "there is a run in this directory already", at: path,
        remedy: "continue with --resume latest, or choose another directory with --set run.directory=DIR")
    }
    let run = (try? Seal(of: latest, as: .checkpoint))?["run"]
    let isSameRun = run != nil && run == parent.header.run?.id
    throw Failure(
      .cannotWrite,
      isSameRun
        ? "the checkpoint \(parent.path) is not in this run's directory, which holds a single history"
        : "the directory belongs to a different run from the checkpoint \(parent.path)", at: path,
      remedy: "continue the checkpoint in a directory of its own with --set run.directory=DIR")
  }

  private func checkSame(_ configuration: RunConfiguration, _ traces: RunTraces) throws {
    let remedy = "choose another directory with --set run.directory=DIR, or remove its files"
    let differences: [ConfigurationDifference]
    do {
      differences = try traces.differences(from: configuration)
    } catch let failure as Failure {
      throw Failure(
        .cannotWrite, "another run's files are in this directory", at: path, cause: "\(failure)", remedy: remedy)
    }
    guard !differences.isEmpty else { return }
    let list = differences.map { "\($0.key) (\($0.saved ?? "unset") there, \($0.requested ?? "unset") now)" }
    throw Failure(
      .cannotWrite, "another run's files are in this directory, with other settings", at: path,
      cause: list.joined(separator: ", "), remedy: remedy)
  }

  // MARK: A resumed run

  private func resume(_ configuration: RunConfiguration, _ checkpoint: CheckpointReader) throws -> Claim {
    var remarks: [String] = []
    let step = checkpoint.header.step
    let identity = try self.identity(resuming: checkpoint)
    var store = try CheckpointStore(directory: path, keep: configuration.run.keep, traits: traits)
    let cut = try MetricsCut(in: path, upTo: step, stated: checkpoint.header.metricsBytes)
    let abandoned = try store.rewind(to: step, hasTail: cut?.hasTail ?? false) { place in
      guard let cut, cut.hasTail else { return }
      try TemporaryFile.copy(MetricsFile.path(in: path), from: cut.end, to: place)
    }
    if let abandoned { remarks.append("what the run had written after step \(step) is in \(abandoned)") }
    for file in store.unreadable {
      remarks.append("this checkpoint can't be read and is left out of the ranking: \(file.reason)")
    }
    try write(configuration, of: identity)
    var kept = cut?.end ?? 0
    if cut == nil, step > 0 {
      kept = try MetricsFile.rebuild(in: path, from: checkpoint.history())
      remarks.append(
        "metrics.jsonl is gone: made again from the checkpoint's history, with a row for each progress line")
    } else if let stated = checkpoint.header.metricsBytes, kept < stated {
      let last = cut?.lastStep.map { "end at step \($0)" } ?? "are gone"
      remarks.append("rows of metrics.jsonl are missing: those before step \(step) \(last)")
    }
    return Claim(
      identity: identity, store: store, metrics: try openMetrics(identity, keeping: kept), remarks: remarks)
  }

  /// The identity of the resumed run; a new one for a checkpoint of version 1, which has none.
  private func identity(resuming checkpoint: CheckpointReader) throws -> RunIdentity {
    let latest = CheckpointStore.latest(in: path).flatMap { try? Seal(of: $0, as: .checkpoint) }?["run"]
    if let own = checkpoint.header.run {
      if let latest, latest != own.id {
        throw Failure(
          .cannotWrite, "the checkpoint \(checkpoint.path) belongs to another run than the latest one here", at: path,
          remedy: "continue it in a directory of its own with --set run.directory=DIR")
      }
      return own
    }
    if let named = try RunTraces(in: path).identity { return named }
    return latest.map { RunIdentity(id: $0) } ?? .make()
  }

  private func openMetrics(_ identity: RunIdentity, keeping size: Int) throws -> MetricsFile {
    try MetricsFile(directory: path, run: identity.id, keeping: size) { [weak self] in try self?.check() }
  }

  private func write(_ configuration: RunConfiguration, of identity: RunIdentity) throws {
    let file = RunTraces.configurationPath(in: path)
    do {
      try TemporaryFile.replace(file, with: Array((identity.configurationLine + configuration.yaml).utf8))
    } catch let failure as Failure {
      throw Failure(
        .cannotWrite, "can't write the configuration", at: file, cause: failure.cause ?? failure.what,
        remedy: "check the directory's permissions and free space")
    }
  }
}
