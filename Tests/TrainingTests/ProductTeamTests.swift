import Arena
import Kernels
import Recurrent
import Testing
import Training
import Workers

/// Workers that make their recurrent products together, against the same workers each by itself: the same bits.
@Suite(.enabled(if: InstructionSet.current == .avx512, "products are made together with AVX-512 only"))
struct ProductTeamTests {
  static let cells: [Cell] = [.lstm, .gru(.after), .gru(.before), .elman(.tanh)]
  static let precisions = Precision.allCases.filter(\.isAvailable)

  @Test(arguments: cells, precisions) func gradientsKeepTheirBits(_ cell: Cell, precision: Precision) throws {
    // One panel of columns for several workers, panels that are not full, an odd number of values in a row.
    for hidden in [15, 33, 70] {
      let shape = ModelShape(cell: cell, vocabularySize: 30, embeddingSize: 20, hiddenSize: hidden, layers: 2)
      for workers in 2...4 {
        let alone = try run(shape, precision, workers: workers, together: false)
        let together = try run(shape, precision, workers: workers, together: true)
        #expect(alone == together, "\(workers) workers, hidden size \(hidden)")
      }
    }
  }

  /// The bits of every worker's gradients and losses after two windows, the second of them shorter.
  private func run(_ shape: ModelShape, _ precision: Precision, workers: Int, together: Bool) throws -> [[UInt64]] {
    try onWorkers(workers) { group in
      computeOnThisThreadAlone()
      let (weights, isShared) = try ModelWeights.shared(by: group, shape, precision: precision, training: true) {
        Initialization.uniform(range: 0.4).fill($0, shape: shape, seed: 3)
      }
      // Workers with different numbers of streams.
      let batch = LocalBatch(window: 5, streams: 9, shards: 5, rank: group.rank, workers: group.count)
      let team = ProductTeam(group, weights, batch: batch, sharesWeights: isShared, minimumBytes: together ? 0 : .max)
      #expect((team != nil) == together)
      let model = try LanguageModel(weights, batch: batch, training: true, team: team)
      try team?.connect()
      let window = Window(steps: 5, streams: batch.streams.count)
      var bits: [UInt64] = []
      for (pass, steps) in [5, 3].enumerated() {
        window.steps = steps
        for row in 0..<window.rows {
          window.inputs[row] = Int32((row * 7 + group.rank * 3 + pass) % 30)
          window.targets[row] = Int32((row * 11 + group.rank + pass) % 30)
        }
        try model.trainingPass(window, step: pass)
        for gradient in model.gradients { bits += gradient.store.values.buffer.map { UInt64($0.bitPattern) } }
        bits += model.shardLosses.map(\.bitPattern)
      }
      return bits
    }
  }

  @Test func smallWeightsAndManyRowsAreMultipliedAlone() throws {
    try ThreadWorkers.run(count: 2) { group in
      computeOnThisThreadAlone()
      let shape = ModelShape(cell: .lstm, vocabularySize: 5, embeddingSize: 8, hiddenSize: 16, layers: 1)
      let (weights, _) = try ModelWeights.shared(by: group, shape, training: true) { _ in }
      func team(streams: Int, minimumBytes: Int?, sharesWeights: Bool = true) -> ProductTeam? {
        let batch = LocalBatch(window: 2, streams: streams, shards: 2, rank: group.rank, workers: 2)
        return ProductTeam(group, weights, batch: batch, sharesWeights: sharesWeights, minimumBytes: minimumBytes)
      }
      #expect(team(streams: 4, minimumBytes: 0) != nil)
      #expect(team(streams: 4, minimumBytes: nil) == nil)
      #expect(team(streams: 80, minimumBytes: 0) == nil)
      #expect(team(streams: 4, minimumBytes: 0, sharesWeights: false) == nil)
    }
  }
}
