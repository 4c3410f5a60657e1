import Glibc
import Interfaces

/// The loss of an n-gram model on token streams: contexts go from window to window, as a recurrent model's state does.
package final class NGramScorer: Scorer {
  private let model: NGramModel
  /// By stream; nil before its first token.
  private var histories: [NGramHistory?]

  /// - Parameter streams: B, token streams of a window.
  package init(_ model: NGramModel, streams: Int) {
    self.model = model
    histories = Array(repeating: nil, count: streams)
  }

  package func resetStates() { for stream in histories.indices { histories[stream] = nil } }

  package func score(_ batch: Batch<Window>, nats: inout [Double]) throws {
    let window = batch.input
    var byRow = [Double](repeating: 0, count: window.layout.count)
    for stream in 0..<window.sequences {
      for row in stride(from: stream, to: window.layout.count, by: window.sequences) where window.targets[row] >= 0 {
        if histories[stream] == nil {
          histories[stream] = NGramHistory(of: model)
          _ = histories[stream]?.append(window.tokens[row])
        }
        // The target is the next input, so a history that has read it needs no other.
        byRow[row] = -log(histories[stream]?.append(window.targets[row]) ?? 0)
      }
    }
    var place = 0
    for row in batch.units.lazy.flatMap(\.rows) {
      nats[place] = byRow[Int(row)]
      place += 1
    }
  }
}
