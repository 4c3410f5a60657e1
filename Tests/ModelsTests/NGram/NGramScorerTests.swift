import Interfaces
import Models
import Sharding
import Testing

@Suite struct NGramScorerTests {
  /// Two streams of 7 and 6 predictions, in windows of 3 steps.
  @Test func contextsGoFromWindowToWindow() throws {
    let text = NGramModelTests.skewedText(count: 400, vocabularySize: 6, seed: 8)
    let model = try NGramModel(training: text, order: 4, vocabularySize: 6)
    let streams = [Array(text[10..<18]), Array(text[100..<107])]
    let expected = try streams.map { try model.logProbabilities(of: $0).map { -$0 } }
    let plan = BatchPlan(window: 3, sequences: 2, shards: 2)
    let batch = Batch(Window(steps: 3, streams: 2), units: plan.rowLists(of: 0))
    let scorer = NGramScorer(model, streams: 2)
    // Twice: after a reset nothing is left of the first time.
    for _ in 0..<2 {
      scorer.resetStates()
      var found: [[Double]] = [[], []]
      for first in stride(from: 0, to: 7, by: 3) {
        let steps = min(3, 7 - first)
        batch.input.steps = steps
        for t in 0..<steps {
          for (stream, tokens) in streams.enumerated() {
            let (row, next) = (t * 2 + stream, first + t + 1)
            batch.input.tokens[row] = next <= tokens.count ? tokens[next - 1] : 0
            batch.input.targets[row] = next < tokens.count ? tokens[next] : -1
          }
        }
        plan.list(batch.units, of: 0, count: 2, batch.input.layout)
        var nats = [Double](repeating: .nan, count: batch.unitCount)
        try scorer.score(batch, nats: &nats)
        for t in 0..<steps { for stream in 0..<2 { found[stream].append(nats[stream * steps + t]) } }
      }
      #expect(found[0] == expected[0])
      // A masked position has no loss.
      #expect(found[1] == expected[1] + [0])
    }
  }
}
