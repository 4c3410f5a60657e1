import Arena
import Testing
import Training

/// The reduction against a naive recursion over the same leaves.
@Suite struct TreeReductionTests {
  @Test(arguments: 1...9)
  func reducedSegmentsEqualTheNaiveTree(shards: Int) throws {
    let tree = ShardTree(count: shards)
    // Several of the reduction's chunks of 1024, none of them full in the end.
    let count = 4500
    let rounds = 2
    let leaves = (0..<rounds).map { round in
      (0..<shards).map { randomFloats(count, seed: UInt64(100 * round + $0)) }
    }
    for workers in 1...min(shards, 4) {
      // Uneven segments; with three workers or more one of them gets nothing.
      let ends = [0] + [700, 700, 3001].prefix(workers - 1) + [count]
      let segments = zip(ends, ends.dropFirst()).map { $0..<$1 }
      let reduced = try onWorkers(workers) { group in
        let nodes = tree.maximalSubtrees(covering: tree.shards(ofWorker: group.rank, of: workers))
        let buffers = try nodes.map { _ in try FloatBuffer(count: count) }
        let reduction = try TreeReduction(group, tree: tree, buffers: buffers, segments: segments, .best)
        #expect(reduction.segment == segments[group.rank])
        var results: [[UInt32]] = []
        for round in 0..<rounds {
          for (node, buffer) in zip(nodes, buffers) {
            _ = buffer.buffer.update(fromContentsOf: naiveSum(tree, node, leaves[round]))
          }
          try reduction.reduce()
          let sums = reduction.result
          results.append((0..<segments[group.rank].count).map { sums[$0].bitPattern })
          try group.barrier()
        }
        return results
      }
      for round in 0..<rounds {
        let expected = naiveSum(tree, tree.root, leaves[round]).map(\.bitPattern)
        #expect(reduced.flatMap { $0[round] } == expected, "\(workers) workers, round \(round)")
      }
    }
  }

  @Test func aSumInAnotherOrderHasOtherBits() {
    // Else the test above would pass for any order of additions.
    let leaves = (0..<6).map { randomFloats(1000, seed: UInt64($0)) }
    let inOrder = leaves.dropFirst().reduce(leaves[0]) { zip($0, $1).map { $0 + $1 } }
    let tree = ShardTree(count: 6)
    #expect(naiveSum(tree, tree.root, leaves) != inOrder)
  }
}

/// The sum of the leaves under `node`, each addition as the tree has it.
private func naiveSum(_ tree: ShardTree, _ node: ShardTree.Node, _ leaves: [[Float]]) -> [Float] {
  guard node.level > 0 else { return leaves[node.index] }
  let (left, right) = tree.children(of: node)
  let sum = naiveSum(tree, left, leaves)
  guard let right else { return sum }
  return zip(sum, naiveSum(tree, right, leaves)).map { $0 + $1 }
}
