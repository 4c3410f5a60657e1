import Failures

/// How a split of N tokens is cut into B contiguous streams and those into windows of T steps.
///
/// Stream s starts at s·⌊N/B⌋, as in PyTorch's word_language_model, but nothing is cut off: the last stream takes the
/// remainder, and the target of a stream's last token is the next token of the split. So every token but the first is a
/// target exactly once, and the predictions add up to N − 1.
package struct StreamLayout: Sendable, Equatable {
  package let tokens: Int
  package let streams: Int
  package let window: Int

  /// - Throws: ``Failure`` (usage) where a stream would have nothing to predict.
  package init(tokens: Int, streams: Int, window: Int) throws {
    guard streams >= 1 else { throw Failure(.usage, "\(streams) streams are too few", remedy: "use at least 1") }
    guard window >= 1 else {
      throw Failure(.usage, "a window of \(window) steps is too short", remedy: "use at least 1")
    }
    guard tokens > streams else {
      throw Failure(
        .usage, "\(tokens) tokens are too few for \(streams) \(streams == 1 ? "stream" : "streams")",
        remedy: "use fewer streams or more text; a stream needs 2 tokens, to predict one from the other")
    }
    self.tokens = tokens
    self.streams = streams
    self.window = window
  }

  /// The token of the split that stream `stream` begins with.
  package func start(of stream: Int) -> Int { stream * (tokens / streams) }

  /// How many targets stream `stream` has.
  package func predictions(of stream: Int) -> Int {
    stream < streams - 1 ? tokens / streams : tokens - start(of: stream) - 1
  }

  /// The targets of the stream that has most.
  package var longest: Int { max(predictions(of: 0), predictions(of: streams - 1)) }

  /// Windows of a pass over the split; the longest stream decides.
  package var windowCount: Int { (longest - 1) / window + 1 }

  /// Steps of a window: the most that any stream has left, `window` at most.
  package func steps(inWindow index: Int) -> Int { min(window, longest - index * window) }

  /// Targets of a window, over all streams.
  package func tokens(inWindow index: Int) -> Int {
    (streams - 1) * clampedSteps(predictions(of: 0), index) + clampedSteps(predictions(of: streams - 1), index)
  }

  private func clampedSteps(_ predictions: Int, _ index: Int) -> Int {
    min(max(predictions - index * window, 0), window)
  }
}
