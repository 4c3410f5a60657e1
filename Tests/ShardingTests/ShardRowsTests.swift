import Sharding
import Testing

@Suite struct ShardRowsTests {
  private func listed(_ plan: BatchPlan, rank: Int = 0, count: Int, lengths: [Int]) -> [ShardRows] {
    let rows = plan.rowLists(of: rank)
    // What a longer batch leaves must not be seen.
    let own = plan.sequences(of: rank).count
    let steps = min(plan.steps, plan.mostRows(of: rank) / own)
    plan.list(rows, of: rank, count: plan.sequences, TimeMajorRows(steps: steps, sequences: own))
    let order = SequenceOrder(lengths: lengths)
    plan.list(rows, of: rank, count: count, order.layout, columns: order.columns)
    return rows
  }

  @Test func rowsAreListedShardByShardAndThenByTime() {
    let plan = BatchPlan(window: 4, sequences: 3, shards: 2)
    let full = listed(plan, count: 3, lengths: [4, 4, 4])[0]
    #expect(Array(full.rows) == [0, 3, 6, 9, 1, 2, 4, 5, 7, 8, 10, 11] && Array(full.ends) == [4, 12])
    let ragged = listed(plan, count: 3, lengths: [2, 2, 2])[0]
    #expect(Array(ragged.rows) == [0, 3, 1, 2, 4, 5] && Array(ragged.ends) == [2, 6])
    #expect(ragged.places(of: 0..<1) == 0..<2 && ragged.places(of: 1..<2) == 2..<6)
  }

  @Test func sequencesOfDifferentLengthsAreListedInTheirOwnOrder() {
    let plan = BatchPlan(lengths: [3, 1, 2], sequences: 3, shards: 3)
    // The layout: step 0 has the rows 0, 1, 2 of the sequences 0, 2, 1; step 1 has 3, 4 of 0, 2; step 2 has 5 of 0.
    let rows = listed(plan, count: 3, lengths: [3, 1, 2])[0]
    #expect(Array(rows.rows) == [0, 3, 5, 2, 1, 4] && Array(rows.ends) == [3, 4, 6])
  }

  @Test func theLongestSequencesBoundTheRowsOfAShard() {
    let plan = BatchPlan(lengths: [2, 9, 1, 4, 4], sequences: 4, shards: 2)
    #expect(plan.mostRows(in: 0..<1) == 13 && plan.mostRows(in: 0..<2) == 19)
    let few = BatchPlan(lengths: [2, 3], sequences: 4, shards: 2)
    #expect(few.mostRows(in: 0..<1) == 5 && few.mostRows(in: 0..<2) == 5)
  }

  @Test func aShardOfAShortBatchMayBeEmpty() {
    let plan = BatchPlan(window: 2, sequences: 4, shards: 4, workers: 2)
    // One sequence, which is in the last shard.
    #expect(listed(plan, rank: 0, count: 1, lengths: [])[0].count == 0)
    let last = listed(plan, rank: 1, count: 1, lengths: [2])[0]
    #expect(Array(last.rows) == [0, 1] && Array(last.ends) == [0, 2])
  }

  static let sizes = (1...9).flatMap { shards in (shards...40).map { (shards, $0) } }

  @Test(arguments: sizes) func everyBatchFitsIntoThePlan(shards: Int, sequences: Int) {
    for workers in 1...shards {
      let plan = BatchPlan(window: 2, sequences: sequences, shards: shards, workers: workers)
      for count in 0...sequences {
        var next = 0
        for rank in 0..<workers {
          let own = plan.sequences(of: rank, in: count)
          #expect(own.lowerBound == next)
          next = own.upperBound
          for node in plan.subtrees(of: rank) {
            let inNode = node.shards.reduce(0) { $0 + plan.sequences(ofShard: $1, in: count).count }
            #expect(inNode <= plan.mostSequences(in: node.shards))
          }
        }
        #expect(next == count)
      }
    }
  }
}
