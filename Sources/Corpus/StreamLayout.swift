import Failures

/// How a split of N tokens is cut into B contiguous streams and those into windows of T steps.
///
/// Stream s starts at s·⌊N/B⌋, as in PyTorch's word_language_model. The target of a token is the token after it, also
/// across the border between two streams.
package struct StreamLayout: Sendable, Equatable {
  /// What happens to the tokens that don't fill streams and windows evenly.
  package enum Remainder: Sendable, Equatable {
    /// Nothing is left out, for evaluation: the last stream takes the N mod B tokens at the end, and every token but the
    /// first is a target exactly once.
    case kept
    /// For training: all streams have ⌊N/B⌋ tokens, as PyTorch's `batchify` cuts them, and the N mod B tokens after them
    /// are neither inputs nor targets. They would make a step of a few tokens at the full learning rate, which sets the
    /// model back right before the epoch's validation. The last token of the last stream has no target. A short last
    /// window is kept, as in PyTorch's word_language_model.
    case dropped
    /// As ``dropped``, and a last window of less than half the steps is dropped too, unless it is the only one: as in
    /// char-rnn, torch-rnn and the code of Zaremba et al. 2014, but for the half.
    case droppedWithShortWindow
  }

  package let tokens: Int
  package let streams: Int
  package let window: Int
  package let remainder: Remainder
  /// Windows of a pass over the split.
  package let windowCount: Int
  /// Steps of a pass: those of all windows together.
  package let stepCount: Int

  /// - Throws: ``Failure`` (usage) where a stream would have nothing to predict.
  package init(tokens: Int, streams: Int, window: Int, remainder: Remainder) throws {
    guard streams >= 1 else { throw Failure(.usage, "\(streams) streams are too few", remedy: "use at least 1") }
    guard window >= 1 else {
      throw Failure(.usage, "a window of \(window) steps is too short", remedy: "use at least 1")
    }
    guard tokens > streams else {
      throw Failure(
        .usage, "\(tokens) tokens are too few for \(streams) \(streams == 1 ? "stream" : "streams")",
        remedy: "use fewer streams or more text; a stream needs 2 tokens, to predict one from the other")
    }
    (self.tokens, self.streams, self.window, self.remainder) = (tokens, streams, window, remainder)
    let longest = Self.longestStream(tokens: tokens, streams: streams, remainder)
    let (whole, left) = longest.quotientAndRemainder(dividingBy: window)
    let dropsLast = remainder == .droppedWithShortWindow && whole > 0 && 2 * left < window
    windowCount = left == 0 || dropsLast ? whole : whole + 1
    stepCount = dropsLast ? whole * window : longest
  }

  /// The token of the split that stream `stream` begins with.
  package func start(of stream: Int) -> Int { stream * (tokens / streams) }

  /// How many targets stream `stream` has in a pass.
  package func predictions(of stream: Int) -> Int {
    let isLast = stream == streams - 1
    let available =
      switch remainder {
      case .kept: isLast ? tokens - start(of: stream) - 1 : tokens / streams
      case .dropped, .droppedWithShortWindow: tokens / streams - (isLast ? 1 : 0)
      }
    return min(available, stepCount)
  }

  /// Steps of a window: `window`, fewer only in the last one.
  package func steps(inWindow index: Int) -> Int { min(window, stepCount - index * window) }

  /// Targets of a window, over all streams.
  package func tokens(inWindow index: Int) -> Int {
    (streams - 1) * clampedSteps(predictions(of: 0), index) + clampedSteps(predictions(of: streams - 1), index)
  }

  /// Targets of a pass, over all streams.
  package var predictionCount: Int { (streams - 1) * predictions(of: 0) + predictions(of: streams - 1) }

  /// Of the N − 1 tokens that have one before them, those that are no target in a pass.
  package var tokensLeftOut: Int { tokens - 1 - predictionCount }

  /// The targets of the stream that has the most of them, before a short last window is dropped.
  private static func longestStream(tokens: Int, streams: Int, _ remainder: Remainder) -> Int {
    let quotient = tokens / streams
    guard streams > 1 else { return quotient - 1 }
    switch remainder {
    case .kept: return max(quotient, tokens - (streams - 1) * quotient - 1)
    case .dropped, .droppedWithShortWindow: return quotient
    }
  }

  private func clampedSteps(_ predictions: Int, _ index: Int) -> Int {
    min(max(predictions - index * window, 0), window)
  }
}
