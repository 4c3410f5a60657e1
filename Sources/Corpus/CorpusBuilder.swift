import Failures
import Files
import Foundation

/// Makes a corpus from texts: one pass to count, one to encode.
///
/// A text that is split by fractions into words is read once more at first, since the vocabulary is made from the train
/// part alone and where that ends depends on the number of all tokens. With a vocabulary from elsewhere the first pass
/// counts what the texts become with it. Memory is bounded by the vocabulary and a few buffers, whatever the size of the
/// texts.
package struct CorpusBuilder {
  private let recipe: CorpusRecipe
  private let didProgress: (PrepareProgress) throws -> Void

  /// - Parameter didProgress: told after each block; what it throws ends the work and removes what was written.
  package init(_ recipe: CorpusRecipe, didProgress: @escaping (PrepareProgress) throws -> Void = { _ in }) {
    (self.recipe, self.didProgress) = (recipe, didProgress)
  }

  /// Writes the corpus, or throws and leaves nothing behind.
  ///
  /// - Throws: ``Failure`` and `H5Error`: bad data where a text or a split is refused, can't write for the output.
  package func run() throws -> PrepareReport {
    let clock = ContinuousClock()
    let start = clock.now
    let paths = try checkTexts()
    let directory = try StagedDirectory(
      for: recipe.output, replaces: recipe.replacesOutput, marker: CorpusManifest.fileName)
    do {
      var report = PrepareReport(recipe, output: directory.destination)
      let sources = try openTexts(paths, in: directory, &report)
      let (vocabulary, tokens) = try count(sources, &report)
      try checkSplits(tokens)
      report.manifest = try encode(sources, vocabulary, tokens, into: directory)
      unlink(spool(in: directory))
      try directory.publish()
      report.elapsed = clock.now - start
      return report
    } catch {
      directory.discard()
      throw error
    }
  }

  /// A text and the split that it belongs to; with fractions all belong to `train` at first.
  private struct Source {
    let split: Split
    let file: TextFile
  }

  /// The texts by split; before anything is written all but standard input are looked at.
  private func checkTexts() throws -> [(split: Split, path: String)] {
    var paths = recipe.texts.map { (split: Split.train, path: $0) }
    if case .files(let valid, let test) = recipe.splitting {
      paths += valid.map { (.valid, $0) } + test.map { (.test, $0) }
    }
    guard paths.filter({ $0.path == StandardInput.name }).count <= 1 else {
      throw Failure(.usage, "standard input, '-', can be read only once")
    }
    for path in paths.map(\.path) where path != StandardInput.name { _ = try TextFile(path: path) }
    return paths
  }

  /// The texts that are not empty.
  private func openTexts(
    _ paths: [(split: Split, path: String)], in directory: StagedDirectory, _ report: inout PrepareReport
  ) throws -> [Source] {
    var sources: [Source] = []
    for (split, path) in paths {
      let file: TextFile
      if path == StandardInput.name {
        var meter = ProgressMeter(stage: .reading, total: 0, report: didProgress)
        try StandardInput.copy(to: spool(in: directory)) { try meter.add($0) }
        file = try TextFile(path: spool(in: directory), name: "standard input")
      } else {
        file = try TextFile(path: path)
      }
      if file.size > 0 {
        sources.append(Source(split: split, file: file))
        report.texts[split, default: []].append(file.name)
      } else {
        report.emptyTexts.append(file.name)
      }
    }
    guard !sources.isEmpty else {
      throw Failure(
        .badData, paths.count == 1 ? "the file is empty" : "all \(paths.count) files are empty",
        at: report.emptyTexts.first, remedy: "give a text")
    }
    return sources
  }

  private func spool(in directory: StagedDirectory) -> String { "\(directory.path)/standard-input" }

  // MARK: Counting

  private func count(_ sources: [Source], _ report: inout PrepareReport) throws -> (Vocabulary, [Split: Int]) {
    if let vocabulary = recipe.vocabulary {
      var counts: [Split: Int] = [:]
      let output = TokenCount()
      var before = 0
      var meter = meter(.counting, sources)
      report.symbolsNotInVocabulary = try encode(sources, vocabulary, to: output, &meter) { source in
        counts[source.split, default: 0] += output.count - before
        before = output.count
      }
      try checkNotEmpty(counts)
      return (vocabulary, try splitCounts(counts))
    }
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
      try read(source.file, &meter) { block, isLast in
        let consumed = try scanner.scan(block, isLast: isLast, into: &counter)
        try checkMemory(of: counter.table)
        return consumed
      }
      counts[source.split, default: 0] += counter.tokens - before
    }
    try checkNotEmpty(counts)
    return (counter.table, counts)
  }

  /// The table of words is the one thing that grows with the text; sorting them, and the vocabulary, take twice as much
  /// again at most.
  private func checkMemory(of table: WordTable) throws {
    guard let limit = recipe.memoryLimit, 3 * table.bytes > limit else { return }
    throw Failure(
      .badData, "\(table.count) different words need \(3 * table.bytes >> 20) MiB, and \(limit >> 20) MiB may be used",
      at: recipe.texts[0],
      remedy: "use '--tokenizer char' or '--tokenizer byte', less text, or another --memory-limit")
  }

  /// The tokens of each split: as counted where splits have their own files, else cut by the fractions.
  private func splitCounts(_ counts: [Split: Int]) throws -> [Split: Int] {
    guard case .fractions(let fractions) = recipe.splitting else { return counts }
    let parts = fractions.tokenCounts(of: counts[.train] ?? 0)
    return Dictionary(uniqueKeysWithValues: zip(Split.allCases, parts))
  }

  private func checkNotEmpty(_ counts: [Split: Int]) throws {
    guard counts.values.contains(where: { $0 > 0 }) else {
      throw Failure(.badData, "the text holds no tokens", at: recipe.texts.first)
    }
  }

  private func checkSplits(_ tokens: [Split: Int]) throws {
    for split in recipe.splitting.splits(withTexts: !recipe.texts.isEmpty) {
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
      _ = try encode(sources, vocabulary, to: writer, &meter)
      return try writer.finish()
    } catch {
      writer.abandon()
      throw error
    }
  }

  /// - Parameter didEncode: called after each text, when all of its tokens are in `output`.
  /// - Returns: how often a symbol that the vocabulary lacks occurs.
  private func encode(
    _ sources: [Source], _ vocabulary: Vocabulary, to output: any TokenOutput, _ meter: inout ProgressMeter,
    didEncode: (Source) throws -> Void = { _ in }
  ) throws -> Int {
    let buffer = TokenBuffer(capacity: 1 << 16, output: output)
    let rule = recipe.vocabulary == nil ? UnknownRule.ownVocabulary(vocabulary) : UnknownRule(recipe.unknownTreatment)
    switch vocabulary.tokenizer {
    case .byte:
      var encoder = ByteEncoder(buffer: buffer)
      for source in sources {
        try read(source.file, &meter) { block, _ in try encoder.take(block) }
        try encoder.buffer.flush()
        try didEncode(source)
      }
      return 0
    case .char:
      var encoder = ScalarEncoder(vocabulary: vocabulary, rule: rule, buffer: buffer)
      for source in sources {
        try read(source.file, &meter) { try scanScalars($0, isLast: $1, into: &encoder) }
        try encoder.buffer.flush()
        try didEncode(source)
      }
      return encoder.rule.count
    case .word:
      var encoder = WordEncoder(vocabulary: vocabulary, rule: rule, buffer: buffer)
      for source in sources {
        var scanner = WordScanner()
        try read(source.file, &meter) { try scanner.scan($0, isLast: $1, into: &encoder) }
        try encoder.buffer.flush()
        try didEncode(source)
      }
      return encoder.rule.count
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
