import Configuration
import Corpus
import Interfaces
import Kernels
import Models
import Sharding
import Workers

extension LanguageModelTask {
  /// Bytes that this worker allocates for reading tokens and for validation.
  static func dataBytes(
    _ group: any WorkerGroup, _ configuration: RunConfiguration, _ corpus: CorpusReader,
    _ architecture: LanguageArchitecture, _ plan: BatchPlan
  ) -> Int {
    var bytes = StreamBatches.batchBytes(plan, rank: group.rank)
    // A split that is too short for its streams is rejected when they are created.
    let train = try? StreamLayout(
      tokens: corpus.tokenCount(.train), streams: plan.sequences, window: plan.window,
      remainder: configuration.epochRemainder)
    bytes += train.map { TokenStreams.bytes($0, local: plan.sequences(of: group.rank).count) } ?? 0
    let streams = min(configuration.data.streams, corpus.tokenCount(.valid) - 1)
    let shards = min(configuration.training.gradientShards, streams)
    guard streams >= 1, shards >= group.count else { return bytes }
    let evaluation = try? evaluationBytes(
      architecture, precision: configuration.training.precision, tokens: corpus.tokenCount(.valid), streams: streams,
      window: configuration.data.window, shards: shards, rank: group.rank, workers: group.count)
    return bytes + (evaluation ?? 0)
  }

  /// Bytes that a worker allocates for an evaluation besides the weights.
  package static func evaluationBytes(
    _ architecture: LanguageArchitecture, precision: Precision, tokens: Int, streams: Int, window: Int, shards: Int,
    rank: Int, workers: Int
  ) throws -> Int {
    let layout = try StreamLayout(tokens: tokens, streams: streams, window: window, remainder: .kept)
    let plan = BatchPlan(
      window: window, steps: layout.steps(inWindow: 0), sequences: streams, shards: shards, workers: workers)
    return architecture.scorerBytes(plan, rank: rank, precision: precision)
      + StreamBatches.batchBytes(plan, rank: rank) + 8 * shards
      + TokenStreams.bytes(layout, local: plan.sequences(of: rank).count)
  }
}
