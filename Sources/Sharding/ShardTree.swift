/// The fixed binary tree over the gradient shards 0..<count, along which every gradient is summed.
///
/// A node of level `l` and index `i` covers the shards i·2^l ..< (i+1)·2^l, cut off at `count`; its sum is the left
/// child's plus the right child's, or the left child's alone where the right one is empty. The tree depends on the
/// number of shards and on nothing else, so the number of workers can't change the order of a single addition.
package struct ShardTree: Sendable, Equatable {
  package struct Node: Hashable, Sendable {
    package let level: Int
    package let index: Int
    /// The shards under this node.
    package let shards: Range<Int>
  }

  package let count: Int

  package init(count: Int) {
    precondition(count > 0, "a gradient needs at least one shard")
    self.count = count
  }

  package func node(level: Int, index: Int) -> Node {
    let first = index << level
    return Node(level: level, index: index, shards: min(first, count)..<min(first + (1 << level), count))
  }

  package var root: Node {
    var level = 0
    while 1 << level < count { level += 1 }
    return node(level: level, index: 0)
  }

  /// The two children of an inner node; the right one is nil where it would be empty.
  package func children(of node: Node) -> (left: Node, right: Node?) {
    precondition(node.level > 0, "a leaf has no children")
    let left = self.node(level: node.level - 1, index: node.index * 2)
    let right = self.node(level: node.level - 1, index: node.index * 2 + 1)
    return (left, right.shards.isEmpty ? nil : right)
  }

  /// The fewest nodes that cover exactly `shards`, from left to right: what a worker that owns these shards sums by
  /// itself before anything is sent.
  package func maximalSubtrees(covering shards: Range<Int>) -> [Node] {
    precondition(shards.lowerBound >= 0 && shards.upperBound <= count, "no such shards")
    guard !shards.isEmpty else { return [] }
    var found: [Node] = []
    func descend(_ node: Node) {
      if shards.lowerBound <= node.shards.lowerBound, node.shards.upperBound <= shards.upperBound {
        found.append(node)
      } else if node.shards.overlaps(shards) {
        let (left, right) = children(of: node)
        descend(left)
        if let right { descend(right) }
      }
    }
    descend(root)
    return found
  }

  /// The run of shards of each worker: as even as whole shards allow, in order.
  package func shards(ofWorker rank: Int, of workers: Int) -> Range<Int> {
    (rank * count / workers)..<((rank + 1) * count / workers)
  }

  /// Sums one value per shard along the tree.
  package func sum(_ leaves: [Double]) -> Double {
    precondition(leaves.count == count, "one value per shard")
    func total(_ node: Node) -> Double {
      if node.level == 0 { return leaves[node.index] }
      let (left, right) = children(of: node)
      guard let right else { return total(left) }
      return total(left) + total(right)
    }
    return total(root)
  }
}
