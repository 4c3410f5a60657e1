import Kernels
import Sharding
import Testing

@Suite struct ShardTreeTests {
  @Test(arguments: 1...17) func childrenShareTheirParentsShards(count: Int) {
    let tree = ShardTree(count: count)
    #expect(tree.root.shards == 0..<count)
    var leaves: [Int] = []
    func visit(_ node: ShardTree.Node) {
      #expect(!node.shards.isEmpty)
      guard node.level > 0 else {
        leaves.append(node.index)
        return
      }
      let (left, right) = tree.children(of: node)
      #expect(left.shards.lowerBound == node.shards.lowerBound)
      #expect((right ?? left).shards.upperBound == node.shards.upperBound)
      if let right { #expect(left.shards.upperBound == right.shards.lowerBound) }
      visit(left)
      if let right { visit(right) }
    }
    visit(tree.root)
    #expect(leaves == Array(0..<count))
  }

  @Test(arguments: 1...17) func workersShareOutTheShardsEvenly(count: Int) {
    let tree = ShardTree(count: count)
    for workers in 1...count {
      let runs = (0..<workers).map { tree.shards(ofWorker: $0, of: workers) }
      #expect(runs.flatMap { Array($0) } == Array(0..<count))
      #expect(runs.map(\.count).max()! - runs.map(\.count).min()! <= 1)
    }
  }

  @Test(arguments: 1...17) func maximalSubtreesCoverAnyRunExactly(count: Int) {
    let tree = ShardTree(count: count)
    for first in 0..<count {
      for end in first...count {
        let nodes = tree.maximalSubtrees(covering: first..<end)
        #expect(nodes.flatMap { Array($0.shards) } == Array(first..<end))
        // Maximal: the parent of each node reaches outside of the run.
        for node in nodes where node != tree.root {
          let parent = tree.node(level: node.level + 1, index: node.index / 2)
          #expect(parent.shards.lowerBound < first || parent.shards.upperBound > end)
        }
      }
    }
  }

  /// What the exchange does: workers sum their subtrees, an owner joins them.
  @Test(arguments: 1...17) func workersSubtreesJoinToTheSameBits(count: Int) {
    let tree = ShardTree(count: count)
    var random = RandomStream(seed: 5, stream: 0)
    let leaves = (0..<count).map { _ in random.nextUnit() - 0.5 }
    func total(_ node: ShardTree.Node, _ known: [ShardTree.Node: Double]) -> Double {
      if let value = known[node] { return value }
      if node.level == 0 { return leaves[node.index] }
      let (left, right) = tree.children(of: node)
      return right.map { total(left, known) + total($0, known) } ?? total(left, known)
    }
    for workers in 1...count {
      var partial: [ShardTree.Node: Double] = [:]
      for rank in 0..<workers {
        for node in tree.maximalSubtrees(covering: tree.shards(ofWorker: rank, of: workers)) {
          partial[node] = total(node, [:])
        }
      }
      #expect(total(tree.root, partial) == tree.sum(leaves))
    }
  }

  @Test func sumsInPairs() {
    // 2^-53 vanishes beside 1, but two of them do not: the order shows.
    let small = 0x1p-53
    #expect(ShardTree(count: 3).sum([1, small, small]) == 1)
    #expect(ShardTree(count: 4).sum([1, 0, small, small]) == 1 + 2 * small)
    #expect(ShardTree(count: 1).sum([7]) == 7)
  }
}
