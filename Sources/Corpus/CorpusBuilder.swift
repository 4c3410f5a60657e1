import Failures

/// Makes a corpus from texts: one pass to count, one to encode.
///
/// A text that is split by fractions into words is read once more at first, since the vocabulary is made from the train
/// part alone and where that ends depends on the number of all tokens. Memory is bounded by the vocabulary and a few
/// buffers, whatever the size of the texts.
package struct CorpusBuilder {
  private let recipe: CorpusRecipe
  private let didProgress: (PrepareProgress) throws -> Void

  /// - Parameter didProgress: told after each block; what it throws ends the work and removes what was written.
  package init(_ recipe: CorpusRecipe, didProgress: @escaping (PrepareProgress) throws -> Void = { _ in }) {
    self.recipe = recipe
    self.didProgress = didProgress
  }

  /// Writes the corpus, or throws and leaves nothing behind.
  ///
  /// - Throws: ``Failure`` and `H5Error`: bad data where a text or a split is refused, can't write for the output.
  package func run() throws -> PrepareReport {
    let clock = ContinuousClock()
    let start = clock.now
    let sources = try openTexts()
    let directory = try StagedDirectory(
      for: recipe.output, replaces: recipe.replacesOutput, marker: CorpusManifest.fileName)
    do {
      let (vocabulary, tokens) = try count(sources)
      try checkSplits(tokens)
      let manifest = try encode(sources, vocabulary, tokens, into: directory)
      try directory.publish()
      return PrepareReport(manifest: manifest, output: directory.destination, elapsed: clock.now - start)
    } catch {
      directory.discard()
      throw error
    }
  }

  private func openTexts() throws -> [Source] {
    var paths = recipe.texts.map { (Split.train, $0) }
    if case .files(let valid, let test) = recipe.splitting {
      paths += valid.map { (.valid, $0) } + test.map { (.test, $0) }
    }
    return try paths.map { Source(split: $0, file: try TextFile(path: $1)) }
  }

  /// A text and the split that it belongs to; with fractions all belong to `train` at first.
  private struct Source {
    let split: Split
    let file: TextFile
  }

  // MARK: Counting

  private func count(_ sources: [Source]) throws -> (Vocabulary, [Split: Int]) {
    switch recipe.tokenizer {
    case .byte:
      var counts: [Split: Int] = [:]
      for source in sources { counts[source.split, default: 0] += source.file.size }
      return (.bytes, try splitCounts(counts))
    case .char: return try countScalars(sources)
    case .word: return try countWords(sources)
    }
  }

  private func countScalars(_ sources: [Source]) throws -> (Vocabulary, [Split: Int]) {
    var counter = ScalarCounter()
    var counts: [Split: Int] = [:]
    var meter = meter(.counting, sources)
    for source in sources {
      let before = counter.total
      try read(source.file, &meter) { try scanScalars($0, isLast: $1, into: &counter) }
      counts[source.split, default: 0] += counter.total - before
    }
    try checkNotEmpty(counts)
    return (try .chars(counted: counter, limits: recipe.limits), try splitCounts(counts))
  }

  private func countWords(_ sources: [Source]) throws -> (Vocabulary, [Split: Int]) {
    var trainTokens = Int.max
    if case .fractions = recipe.splitting {
      let measured = try countWords(sources, .measuring, limit: { _ in 0 }).tokens
      trainTokens = try splitCounts(measured)[.train] ?? 0
    }
    let counted = try countWords(sources, .counting, limit: { $0 == .train ? trainTokens : 0 })
    return (try .words(counts: counted.table, limits: recipe.limits), try splitCounts(counted.tokens))
  }

  /// Counts the words among the first `limit` tokens, and all tokens by split.
  private func countWords(
    _ sources: [Source], _ stage: PrepareProgress.Stage, limit: (Split) -> Int
  ) throws -> (table: WordTable, tokens: [Split: Int]) {
    var counter = WordCounter(limit: 0, distinctLimit: recipe.distinctWordLimit)
    var counts: [Split: Int] = [:]
    var meter = meter(stage, sources)
    for source in sources {
      let before = counter.tokens
      counter.limit = limit(source.split)
      var scanner = WordScanner()
      try read(source.file, &meter) { try scanner.scan($0, isLast: $1, into: &counter) }
      counts[source.split, default: 0] += counter.tokens - before
    }
    try checkNotEmpty(counts)
    return (counter.table, counts)
  }

  /// The tokens of each split: as counted where splits have their own files, else cut by the fractions.
  private func splitCounts(_ counts: [Split: Int]) throws -> [Split: Int] {
    guard case .fractions(let fractions) = recipe.splitting else { return counts }
    let parts = fractions.tokenCounts(of: counts[.train] ?? 0)
    return Dictionary(uniqueKeysWithValues: zip(Split.allCases, parts))
  }

  private func checkNotEmpty(_ counts: [Split: Int]) throws {
    guard counts.values.contains(where: { $0 > 0 }) else {
      throw Failure(.badData, "the text holds no tokens", at: recipe.texts[0])
    }
  }

  private func checkSplits(_ tokens: [Split: Int]) throws {
    for split in Split.allCases {
      let count = tokens[split] ?? 0
      let noun = count == 1 ? "token" : "tokens"
      guard count >= 2 else {
        throw Failure(
          .badData, "the \(split) split ends up with \(count) \(noun), and needs 2 to predict one from the other",
          remedy: "give more text, or other fractions with --split")
      }
      guard recipe.shards <= count else {
        throw Failure(
          .usage, "\(recipe.shards) shards are more than the \(count) \(noun) of the \(split) split", at: "--shards",
          remedy: "give a smaller number")
      }
    }
  }

  // MARK: Encoding

  private func encode(
    _ sources: [Source], _ vocabulary: Vocabulary, _ tokens: [Split: Int], into directory: StagedDirectory
  ) throws -> CorpusManifest {
    let writer = CorpusWriter(
      directory: directory, vocabulary: vocabulary, tokens: tokens, shards: recipe.shards,
      chunkBytes: recipe.chunkBytes)
    var meter = meter(.encoding, sources)
    do {
      try encode(sources.map(\.file), vocabulary, to: writer, &meter)
      return try writer.finish()
    } catch {
      writer.abandon()
      throw error
    }
  }

  private func encode(
    _ files: [TextFile], _ vocabulary: Vocabulary, to writer: CorpusWriter, _ meter: inout ProgressMeter
  ) throws {
    let buffer = TokenBuffer(capacity: 1 << 16, output: writer)
    switch vocabulary.tokenizer {
    case .byte:
      var encoder = ByteEncoder(buffer: buffer)
      for file in files { try read(file, &meter) { block, _ in try encoder.take(block) } }
      try encoder.buffer.flush()
    case .char:
      var encoder = ScalarEncoder(vocabulary: vocabulary, buffer: buffer)
      for file in files { try read(file, &meter) { try scanScalars($0, isLast: $1, into: &encoder) } }
      try encoder.buffer.flush()
    case .word:
      var encoder = WordEncoder(vocabulary: vocabulary, buffer: buffer)
      for file in files {
        var scanner = WordScanner()
        try read(file, &meter) { try scanner.scan($0, isLast: $1, into: &encoder) }
      }
      try encoder.buffer.flush()
    }
  }

  // MARK: Reading

  private func read(_ file: TextFile, _ meter: inout ProgressMeter, scan: (Bytes, Bool) throws -> Int) throws {
    // A tokenizer's unfinished token stays in the buffer, which has room for a word of up to 1 MiB.
    try file.forEachBlock(
      capacity: recipe.blockBytes, tokenLimit: max(recipe.blockBytes, 1 << 20),
      skipsByteOrderMark: recipe.tokenizer != .byte, didRead: { try meter.add($0) }, scan: scan)
  }

  private func meter(_ stage: PrepareProgress.Stage, _ sources: [Source]) -> ProgressMeter {
    ProgressMeter(stage: stage, total: sources.reduce(0) { $0 + $1.file.size }, report: didProgress)
  }
}

/// Adds up the bytes of one stage.
private struct ProgressMeter {
  private let clock = ContinuousClock()
  private let start: ContinuousClock.Instant
  private var progress: PrepareProgress
  private let report: (PrepareProgress) throws -> Void

  init(stage: PrepareProgress.Stage, total: Int, report: @escaping (PrepareProgress) throws -> Void) {
    start = clock.now
    progress = PrepareProgress(stage: stage, bytesDone: 0, bytesTotal: total, elapsed: .zero)
    self.report = report
  }

  mutating func add(_ bytes: Int) throws {
    progress.bytesDone += bytes
    progress.elapsed = clock.now - start
    try report(progress)
  }
}
