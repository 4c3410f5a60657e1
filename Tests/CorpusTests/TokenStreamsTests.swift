import Corpus
import TestSupport
import Testing

/// One window as it comes out of `read`.
struct Window {
  var inputs: [Int32]
  var targets: [Int32]

  init(_ streams: TokenStreams, _ index: Int) throws {
    // Longer than the window, to see that nothing behind it is touched.
    let count = streams.layout.window * streams.local.count + 3
    inputs = [Int32](repeating: -9, count: count)
    targets = inputs
    try inputs.withUnsafeMutableBufferPointer { inputs in
      try targets.withUnsafeMutableBufferPointer { try streams.read(window: index, inputs: inputs, targets: $0) }
    }
  }
}

@Suite struct TokenStreamsTests {
  static let sizes: [(tokens: Int, streams: Int)] = [
    (2, 1), (1000, 1), (1000, 2), (999, 2), (1000, 7), (1001, 7), (1006, 7), (1000, 8), (1000, 33), (34, 33), (65, 33),
    (66, 33), (67, 33),
  ]

  @Test(arguments: sizes, [1, 7, 50]) func windowsEqualNaiveSlices(size: (tokens: Int, streams: Int), window: Int)
    throws
  {
    let tokens = (0..<Int32(size.tokens)).map { $0 + 5 }
    let width = size.tokens / size.streams
    for blockTokens in [1, 20, 64, 32_768] {
      let streams = try TokenStreams(
        source: InMemoryTokens(tokens), streams: size.streams, local: 0..<size.streams, window: window,
        remainder: .kept, blockTokens: blockTokens)
      var targetCount = [Int](repeating: 0, count: size.tokens + 5)
      var total = 0
      for index in 0..<streams.windowCount {
        let steps = streams.steps(inWindow: index)
        #expect((1...window).contains(steps))
        let read = try Window(streams, index)
        var expected = (inputs: [Int32](), targets: [Int32]())
        for step in 0..<steps {
          for stream in 0..<size.streams {
            let position = stream * width + index * window + step
            let end = stream < size.streams - 1 ? (stream + 1) * width : size.tokens - 1
            expected.inputs.append(position < end ? tokens[position] : 0)
            expected.targets.append(position < end ? tokens[position + 1] : -1)
          }
        }
        let padding = [Int32](repeating: -9, count: read.inputs.count - expected.inputs.count)
        #expect(read.inputs == expected.inputs + padding)
        #expect(read.targets == expected.targets + padding)
        let targets = expected.targets.filter { $0 >= 0 }
        #expect(!targets.isEmpty)
        #expect(streams.tokens(inWindow: index) == targets.count)
        total += targets.count
        for target in targets { targetCount[Int(target)] += 1 }
      }
      // Every token but the first is a target exactly once.
      #expect(total == size.tokens - 1)
      #expect(targetCount.dropFirst(6).allSatisfy { $0 == 1 } && targetCount.prefix(6).allSatisfy { $0 == 0 })
    }
  }

  /// Training's windows are slices of streams of ⌊N/B⌋ tokens; nothing after those is an input or a target.
  @Test(arguments: sizes, [1, 7, 50]) func trainingWindowsEqualNaiveSlices(
    size: (tokens: Int, streams: Int), window: Int
  ) throws {
    let tokens = (0..<Int32(size.tokens)).map { $0 + 5 }
    let width = size.tokens / size.streams
    let longest = size.streams > 1 ? width : width - 1
    for (remainder, isShortWindowDropped) in [(StreamLayout.Remainder.dropped, false), (.droppedWithShortWindow, true)]
    {
      let streams = try TokenStreams(
        source: InMemoryTokens(tokens), streams: size.streams, local: 0..<size.streams, window: window,
        remainder: remainder, blockTokens: 64)
      var steps = longest
      if isShortWindowDropped, longest > window, 2 * (longest % window) < window { steps -= longest % window }
      #expect(streams.windowCount == (steps + window - 1) / window)
      var (inputs, targets) = ([[Int32]](), [[Int32]]())
      for index in 0..<streams.windowCount {
        let read = try Window(streams, index)
        for step in 0..<streams.steps(inWindow: index) {
          let row = step * size.streams..<(step + 1) * size.streams
          inputs.append(Array(read.inputs[row]))
          targets.append(Array(read.targets[row]))
        }
      }
      #expect(inputs.count == steps && targets.count == steps)
      for (step, (inputs, targets)) in zip(inputs, targets).enumerated() {
        for stream in 0..<size.streams {
          let position = stream * width + step
          let hasTarget = position + 1 < size.streams * width
          #expect(inputs[stream] == (hasTarget ? tokens[position] : 0))
          #expect(targets[stream] == (hasTarget ? tokens[position + 1] : -1))
        }
      }
    }
  }

  @Test(arguments: [1, 3, 5]) func workersReadTheirColumns(shards: Int) throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", randomText(scalars: 1500, seed: 9))
    let reader = try directory.prepare([text], tokenizer: .char, shards: shards)
    let whole = try TokenStreams(
      source: InMemoryTokens(reader.ids(.train)), streams: 8, local: 0..<8, window: 7,
      remainder: .droppedWithShortWindow)
    for ranges in [[0..<8], [0..<4, 4..<8], [0..<3, 3..<3, 3..<8], [0..<1, 1..<2, 2..<7, 7..<8]] {
      for local in ranges {
        let part = try TokenStreams(
          reader: reader, split: .train, streams: 8, local: local, window: 7, remainder: .droppedWithShortWindow,
          blockTokens: 21)
        #expect(part.windowCount == whole.windowCount)
        for index in 0..<whole.windowCount {
          #expect(part.steps(inWindow: index) == whole.steps(inWindow: index))
          #expect(part.tokens(inWindow: index) == whole.tokens(inWindow: index))
          let all = try Window(whole, index)
          let mine = try Window(part, index)
          for step in 0..<whole.steps(inWindow: index) {
            let row = step * 8 + local.lowerBound..<step * 8 + local.upperBound
            let mineRow = step * local.count..<(step + 1) * local.count
            #expect(mine.inputs[mineRow] == all.inputs[row])
            #expect(mine.targets[mineRow] == all.targets[row])
          }
        }
      }
    }
  }

  @Test(arguments: [1, 8, 40, 1000]) func anyWindowCanBeReadAtAnyTime(blockTokens: Int) throws {
    let source = InMemoryTokens((0..<997).map { Int32($0) })
    let ordered = try TokenStreams(source: source, streams: 3, local: 0..<3, window: 8, remainder: .kept)
    let jumping = try TokenStreams(
      source: source, streams: 3, local: 0..<3, window: 8, remainder: .kept, blockTokens: blockTokens)
    var generator = SeededGenerator(seed: 11)
    let count = ordered.windowCount
    // Two passes in order, as epochs follow one another, then leaps, and backwards.
    let indices =
      Array(0..<count) + Array(0..<count) + (0..<200).map { _ in Int.random(in: 0..<count, using: &generator) }
    for index in indices + (0..<count).reversed() {
      let expected = try Window(ordered, index)
      let read = try Window(jumping, index)
      #expect(read.inputs == expected.inputs && read.targets == expected.targets)
    }
  }

  @Test func tooFewTokensAreRefused() {
    func streams(_ tokens: Int, _ streams: Int, window: Int = 5) throws -> TokenStreams {
      try TokenStreams(
        source: InMemoryTokens([Int32](repeating: 0, count: tokens)), streams: streams, local: 0..<max(streams, 0),
        window: window, remainder: .dropped)
    }
    expectFailure(.usage, "20 tokens are too few for 33 streams", "fewer streams") { try streams(20, 33) }
    expectFailure(.usage, "33 tokens are too few for 33 streams") { try streams(33, 33) }
    expectFailure(.usage, "1 tokens are too few for 1 stream") { try streams(1, 1) }
    expectFailure(.usage, "0 streams are too few") { try streams(20, 0) }
    expectFailure(.usage, "a window of 0 steps") { try streams(20, 2, window: 0) }
  }

  @Test func theCorpusIsNamedWhereItIsTooShort() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.file("a.txt", randomText(scalars: 200, seed: 10))
    let reader = try directory.prepare([text], tokenizer: .byte)
    expectFailure(.usage, "\(reader.directory), valid split: ", "too few for 500 streams") {
      try TokenStreams(reader: reader, split: .valid, streams: 500, local: 0..<500, window: 5, remainder: .kept)
    }
  }

  @Test func aReaderThatIsReleasedInTheMiddleEnds() throws {
    // The thread that reads ahead must neither keep the process busy nor touch freed memory.
    for _ in 0..<50 {
      let streams = try TokenStreams(
        source: InMemoryTokens((0..<5000).map { Int32($0) }), streams: 5, local: 1..<4, window: 7, remainder: .dropped,
        blockTokens: 14)
      _ = try Window(streams, 3)
    }
  }
}
