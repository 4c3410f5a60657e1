import Sharding

/// The fixed tree over gradient shards, in terms of the subtrees that workers have summed by themselves.
struct ReductionPlan {
  /// A sum of the tree: the subtree of some worker, or two sums.
  indirect enum Sum {
    case subtree(worker: Int, index: Int)
    case both(Sum, Sum)
  }

  let sum: Sum
  /// Subtrees of each worker.
  let subtrees: [[ShardTree.Node]]
  /// Levels of the tree.
  let levels: Int

  init(_ plan: BatchPlan) {
    let subtrees = (0..<plan.workers).map(plan.subtrees(of:))
    func sum(_ node: ShardTree.Node) -> Sum {
      for (worker, nodes) in subtrees.enumerated() {
        if let index = nodes.firstIndex(of: node) { return .subtree(worker: worker, index: index) }
      }
      let (left, right) = plan.tree.children(of: node)
      return right.map { .both(sum(left), sum($0)) } ?? sum(left)
    }
    self.subtrees = subtrees
    self.sum = sum(plan.tree.root)
    levels = plan.tree.root.level
  }

  /// Subtrees that a worker has at most: the rounds of an exchange.
  var rounds: Int { subtrees.map(\.count).max() ?? 0 }
}
