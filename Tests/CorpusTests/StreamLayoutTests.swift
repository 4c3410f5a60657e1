import Corpus
import Testing

/// How streams and windows are cut, above all what training leaves out.
@Suite struct StreamLayoutTests {
  private func layout(_ tokens: Int, _ streams: Int, _ window: Int, _ remainder: StreamLayout.Remainder) throws
    -> StreamLayout
  {
    try StreamLayout(tokens: tokens, streams: streams, window: window, remainder: remainder)
  }

  private func tokensOfSteps(_ layout: StreamLayout) -> [Int] {
    (0..<layout.windowCount).map(layout.tokens(inWindow:))
  }

  @Test func theTokensAfterWholeStreamsAreLeftOut() throws {
    // 103 tokens in 4 streams of 25, in windows of 10: 10, 10 and 5 steps; the last stream's last token has no target.
    let layout = try layout(103, 4, 10, .droppedWithShortWindow)
    #expect(tokensOfSteps(layout) == [40, 40, 19])
    #expect((0..<4).map(layout.predictions(of:)) == [25, 25, 25, 24])
    #expect((0..<4).map(layout.start(of:)) == [0, 25, 50, 75])
    #expect(layout.tokensLeftOut == 3)
    // What evaluation counts: all but the first.
    let whole = try self.layout(103, 4, 10, .kept)
    #expect(tokensOfSteps(whole) == [40, 40, 15 + 7])
    #expect(whole.tokensLeftOut == 0)
  }

  @Test func aLastWindowOfLessThanHalfTheStepsIsDropped() throws {
    // Streams of 24, 25 and 30 tokens.
    for (tokens, dropped, kept) in [
      (4 * 24, [40, 40], [40, 40, 15]), (4 * 25, [40, 40, 19], [40, 40, 19]), (4 * 30, [40, 40, 39], [40, 40, 39]),
    ] {
      #expect(try tokensOfSteps(layout(tokens, 4, 10, .droppedWithShortWindow)) == dropped, "\(tokens) tokens")
      #expect(try tokensOfSteps(layout(tokens, 4, 10, .dropped)) == kept, "\(tokens) tokens")
    }
    let layout = try layout(4 * 24, 4, 10, .droppedWithShortWindow)
    #expect(layout.stepCount == 20)
    // 3 · 4 and, in the last stream, 3: of 95 tokens that have one before them, 80 are targets.
    #expect(layout.tokensLeftOut == 15)
    #expect((0..<4).map(layout.predictions(of:)) == [20, 20, 20, 20])
  }

  @Test func theOnlyWindowIsKeptHoweverShort() throws {
    #expect(try tokensOfSteps(layout(12, 4, 10, .droppedWithShortWindow)) == [11])
    #expect(try tokensOfSteps(layout(2, 1, 10, .droppedWithShortWindow)) == [1])
  }

  @Test func oneStreamPredictsAllButTheFirst() throws {
    #expect(try tokensOfSteps(layout(26, 1, 10, .droppedWithShortWindow)) == [10, 10, 5])
    #expect(try layout(26, 1, 10, .droppedWithShortWindow).tokensLeftOut == 0)
    #expect(try tokensOfSteps(layout(25, 1, 10, .droppedWithShortWindow)) == [10, 10])
  }

  /// Tokens after the whole streams change neither the number of steps nor what they train on.
  @Test(arguments: [1, 2, 7, 33], [1, 7, 50]) func aRemainderChangesNothing(streams: Int, window: Int) throws {
    for remainder in [StreamLayout.Remainder.dropped, .droppedWithShortWindow] {
      let even = try layout(streams * 61, streams, window, remainder)
      for tokens in (streams * 61)..<(streams * 62) {
        let layout = try layout(tokens, streams, window, remainder)
        #expect(tokensOfSteps(layout) == tokensOfSteps(even))
        #expect((0..<streams).map(layout.start(of:)) == (0..<streams).map(even.start(of:)))
        #expect(layout.tokensLeftOut == even.tokensLeftOut + tokens - streams * 61)
      }
      // No step has fewer tokens than half a window of the shorter streams, but for a window that is kept on purpose.
      if remainder == .droppedWithShortWindow {
        let least = ((window + 1) / 2) * streams - 1
        #expect(tokensOfSteps(even).allSatisfy { $0 >= least || even.windowCount == 1 })
      }
    }
  }
}
