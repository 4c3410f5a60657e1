import Checkpoints
import Configuration
import Foundation
import Kernels
import Testing
import Training

/// Runs of format version 1, which trained on all tokens of an epoch, continue under the rules of today.
@Suite struct VersionOneTests {
  /// Where the files are that the last build of version 1 has written.
  private static let fixtures = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../Fixtures/version-1").standardizedFileURL.path

  private func configuration(_ bench: Workbench, _ overrides: [String]) throws -> RunConfiguration {
    try RunConfiguration(
      contentsOf: "\(Self.fixtures)/run.yaml",
      overrides: ["data.corpus=\(Self.fixtures)/corpus", "run.directory=\(bench.file("resumed"))"] + overrides)
  }

  @Test func aPositionInTheEndOfAnEpochIsTheNextEpochsStart() throws {
    let bench = try Workbench()
    let saved = try CheckpointReader(path: checkpoint("\(Self.fixtures)/lstm", step: 10))
    // That build had an eleventh window of what the last stream had left.
    #expect(saved.header.epoch == 0 && saved.header.window == 10)
    let summary = try train(
      configuration(bench, ["training.steps=12"]), workers: 2, resume: checkpoint("\(Self.fixtures)/lstm", step: 10))[0]
    #expect(summary.position == TrainingPosition(step: 12, epoch: 1, window: 2, tokens: 640 + 128))
    // The epoch had ended without its validation, so that comes first.
    let rows = try MetricsRow.all(of: bench.file("resumed"))
    #expect(rows.filter { $0.loss == nil }.map(\.step) == [10, 12])
    #expect(rows.filter { $0.loss != nil }.map(\.epoch) == [2, 2])
  }

  @Test func theMiddleOfAnEpochContinuesToTheSameBits() throws {
    let bench = try Workbench()
    let summary = try train(
      configuration(bench, []), workers: 3, resume: checkpoint("\(Self.fixtures)/lstm", step: 15))[0]
    let digests = try String(contentsOfFile: "\(Self.fixtures)/weights-sha256", encoding: .utf8)
    // Products that are not fused round differently.
    if Arithmetic.best.instructionSet != .portable { #expect(digests.contains("lstm \(summary.weightDigest)\n")) }
    #expect(summary.position.step == 20 && summary.position.tokens == 1222)
  }

  /// Epochs still to come are whole ones, whatever the steps of those that were trained before.
  @Test func aLengthInEpochsCountsEpochs() throws {
    let bench = try Workbench()
    // Step 20 is before the tenth window of the second epoch.
    let summary = try train(
      configuration(bench, ["training.epochs=4"]), resume: checkpoint("\(Self.fixtures)/lstm", step: 20))[0]
    #expect(summary.position == TrainingPosition(step: 20 + 1 + 20, epoch: 4, window: 0, tokens: 1222 + 63 + 2 * 639))
  }
}
