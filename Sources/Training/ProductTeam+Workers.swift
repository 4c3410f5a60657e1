import Kernels
import Recurrent
import Workers

extension ProductTeam {
  /// The workers of `group`, where they hold one copy of the weights between them and some recurrent product is worth
  /// working together for; else nil.
  ///
  /// Nil too where there are more workers than processors: a worker that waits at every time step for one that does not
  /// run loses more than any weights take. Collective; throws what the group's collectives throw.
  ///
  /// - Parameters:
  ///   - sharesWeights: whether all workers' `weights` are the same memory.
  ///   - minimumBytes: another bound on the weights that are multiplied together; for tests.
  ///   - crowded: also with more workers than processors; for tests.
  package convenience init?(
    _ group: any WorkerGroup, _ weights: ModelWeights, batch: LocalBatch, sharesWeights: Bool,
    minimumBytes: Int = ProductTeam.minimumBytes, crowded: Bool = false
  ) throws {
    guard sharesWeights, group.count > 1 else { return nil }
    let rows = (0..<group.count).map { worker in
      LocalBatch(
        window: 1, streams: batch.globalStreams, shards: batch.tree.count, rank: worker, workers: group.count
      ).streams.count
    }
    self.init(
      rank: group.rank, rows: rows, minimumBytes: minimumBytes, barrier: group.barrier, floats: group.floats(_:),
      share: group.share(_:))
    let matrices = weights.layers.flatMap { [$0.hidden, $0.candidate ?? $0.hidden] }
    guard matrices.contains(where: { pays(for: $0.forward) || $0.backward.map(pays) ?? false }) else { return nil }
    guard try crowded || group.count <= group.processorCount() else { return nil }
  }
}
