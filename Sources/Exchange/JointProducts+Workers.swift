import Kernels
import Sharding
import Workers

extension JointProducts {
  /// The workers of `group`, where they hold one copy of the weights between them; else nil.
  ///
  /// Nil too where there are more workers than processors: a worker that waits at every time step for one that does not
  /// run loses more than any weights take. Collective; throws what the group's collectives throw.
  ///
  /// - Parameters:
  ///   - sharesWeights: whether all workers' weights are the same memory.
  ///   - minimumBytes: another bound on the weights that are multiplied together; for tests.
  ///   - crowded: also with more workers than processors; for tests.
  package convenience init?(
    _ group: any WorkerGroup, _ plan: BatchPlan, sharesWeights: Bool,
    minimumBytes: Int = JointProducts.minimumBytes, crowded: Bool = false
  ) throws {
    guard sharesWeights, group.count > 1 else { return nil }
    guard try crowded || group.count <= group.processorCount() else { return nil }
    self.init(
      rank: group.rank, rows: (0..<group.count).map { plan.sequences(of: $0).count }, minimumBytes: minimumBytes,
      barrier: group.barrier, floats: group.floats(_:), share: group.share(_:))
  }
}
