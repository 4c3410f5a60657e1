import ArgumentParser
import Checkpoints
import Corpus
import Failures
import Files
import Foundation
import Interfaces
import Signals
import Training
import Workers

struct PrepareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "prepare",
    abstract: "Make a corpus from text files.",
    discussion: """
      The texts are read as UTF-8, put end to end in the order given, and never held in memory as a whole. A byte \
      order mark at the beginning of a file is skipped. Text that is not valid UTF-8, or holds a zero byte, is refused \
      with its position; the byte tokenizer takes everything as it is.

      TOKENIZERS
        char  a token is a Unicode scalar; line ends are kept as they are, CR LF as two. The vocabulary is every \
      scalar of all splits in code-point order. Where --vocabulary-size or --min-count cut the rarest off, id 0 is \
      <unk> and stands for them; otherwise there is no <unk>.
        byte  a token is a byte; the vocabulary is 0 to 255.
        word  a token is what stands between white space (as Unicode defines it); each line end, LF, CR or CR LF, is \
      <eos>, also at the end of a last line without one. The vocabulary is made from the train split alone: <unk>, \
      <eos>, then by falling frequency, ties in code-point order. Every other word is <unk>. The words <unk> and \
      <eos> in the text are these tokens.

      SPLITS
        With --valid or --test the texts are the train split. Otherwise the token sequence of length N is cut at \
      int(a*N) and int((a+b)*N) for --split a,b,c; a split with the fraction 0 is left out. Every split needs at least \
      two tokens.

      LABELLED SENTENCES
        With --task tagging the texts have a token per line in columns, as in the CoNLL tasks, and an empty line after \
      each sentence. Columns are set apart by tabs, or by blanks where a line has no tab; a line that begins with # and \
      has no tab is a comment. Splits are cut between sentences. The vocabulary is made as for words; all labels must \
      occur in the train split.

      ANOTHER TEXT FOR A MODEL
        --vocabulary-from takes tokenizer and vocabulary from a corpus, a run or a checkpoint, so that its model can be \
      evaluated or trained further on the corpus. The texts may then be of one split alone, as in \
      'lockstep prepare --vocabulary-from RUN --test NEW.txt --output CORPUS'. --unknown says what becomes of \
      characters or words that the vocabulary lacks.

      The output appears under its name when it is complete, and not at all if anything fails.
      """)

  @Argument(
    help: "Text files; '-' is standard input.", completion: .file(), transform: PathName.expandingHome)
  var texts: [String] = []

  @Option(help: "Directory to create.", completion: .directory, transform: PathName.expandingHome)
  var output: String

  @Option(help: "What the corpus is for: language_model or tagging.")
  var task: TaskName = .languageModel

  @Option(
    help: ArgumentHelp(
      "Columns of word and label, from 1, for tagging. (default: the first and the last)", valueName: "form:label"))
  var columns: String?

  @Option(help: "What a token is: char, byte or word. (default: char)")
  var tokenizer: Tokenizer?

  @Option(
    help: ArgumentHelp("Use the vocabulary of a corpus, a run or a checkpoint.", valueName: "path"),
    completion: .file(), transform: PathName.expandingHome)
  var vocabularyFrom: String?

  @Option(
    help: """
      What becomes of symbols that this vocabulary lacks: replace (by <unk>), error or drop. (default: replace where it \
      has <unk>, else error)
      """)
  var unknown: UnknownSymbols?

  @Option(help: "Largest vocabulary, special tokens included; the most frequent tokens are kept.")
  var vocabularySize: Int?

  @Option(name: .customLong("min-count"), help: "Leave out tokens that occur less often. (default: 1)")
  var minimumCount: Int?

  @Option(help: "Number of files that each split is written to.")
  var shards: Int = 1

  @Option(help: "Fractions of train, valid and test. (default: 0.9,0.05,0.05)")
  var split: String?

  @Option(
    parsing: .upToNextOption, help: "Text files of the validation split.", completion: .file(),
    transform: PathName.expandingHome)
  var valid: [String] = []

  @Option(
    parsing: .upToNextOption, help: "Text files of the test split.", completion: .file(),
    transform: PathName.expandingHome)
  var test: [String] = []

  @Flag(help: "Replace the output if it is a corpus.")
  var force = false

  @OptionGroup var memoryLimit: MemoryLimitOption

  func run() throws {
    guard task == .languageModel else { return try prepareLabelled() }
    if columns != nil {
      throw Failure(.usage, "goes with --task tagging only", at: "--columns", remedy: "leave the option out")
    }
    let vocabulary = try givenVocabulary()
    let tokenizer = vocabulary?.tokenizer ?? tokenizer ?? .char
    var recipe = try CorpusRecipe(
      texts: texts, splitting: .init(fractions: split, valid: valid, test: test), tokenizer: tokenizer,
      limits: .init(size: vocabularySize, minimumCount: minimumCount, for: tokenizer), vocabulary: vocabulary,
      unknown: unknown, shards: shards, output: output, replacesOutput: force)
    let limits = MemoryLimit.leftToProcess() + MemoryLimit.ofHost(resident: ProcessMemory.current.resident)
    recipe.memoryLimit = memoryLimit.size?.bytes ?? limits.map(\.bytes).min()
    let line = ProgressLine()
    StopSignal.promise = .endLeavingNothing
    do {
      let report = try CorpusBuilder(recipe) { progress in
        try StopSignal.check()
        line.update(progress.line)
      }.run()
      line.clear()
      StandardError.print(report.text)
    } catch {
      line.clear()
      throw error
    }
  }
}

extension PrepareCommand {
  private func prepareLabelled() throws {
    let others: [(String, Bool)] = [
      ("--tokenizer", tokenizer != nil), ("--vocabulary-from", vocabularyFrom != nil), ("--unknown", unknown != nil),
      ("--memory-limit", memoryLimit.size != nil),
    ]
    if let option = others.first(where: \.1)?.0 {
      throw Failure(.usage, "does not go with --task \(task.rawValue)", at: option, remedy: "leave the option out")
    }
    if (texts + valid + test).contains("-") {
      throw Failure(
        .usage, "labelled sentences are not read from standard input", at: "--task \(task.rawValue)",
        remedy: "write them to a file first")
    }
    let start = ContinuousClock.now
    let recipe = try LabelledRecipe(
      texts: texts, splitting: .init(fractions: split, valid: valid, test: test), columns: columns,
      limits: .init(size: vocabularySize, minimumCount: minimumCount, for: .word), shards: shards, output: output,
      replacesOutput: force)
    StopSignal.promise = .endLeavingNothing
    let manifest = try LabelledCorpusBuilder(
      recipe, warn: { StandardError.print("warning: \($0)") }, willContinue: StopSignal.check
    ).run()
    for split in Split.allCases {
      guard let table = manifest.splits[split] else { continue }
      let unknown = fixed(100 * Double(table.unknownTokens) / Double(max(table.tokens, 1)), 2)
      StandardError.print(
        "\(split.rawValue.padding(toLength: 5, withPad: " ", startingAt: 0))  \(grouped(table.tokens)) tokens in "
          + "\(grouped(table.sequences)) sentences, \(unknown) % <unk>")
    }
    StandardError.print("vocabulary  \(grouped(manifest.vocabulary.count)) words, \(manifest.labels.count) labels")
    StandardError.print("\(output) written in \(fixed((ContinuousClock.now - start) / .seconds(1), 2)) s")
  }

  /// The vocabulary of `--vocabulary-from`.
  private func givenVocabulary() throws -> Vocabulary? {
    guard let vocabularyFrom else {
      guard unknown == nil else {
        throw Failure(
          .usage, "goes with --vocabulary-from only", at: "--unknown",
          remedy: "give --vocabulary-size or --min-count, which make <unk>")
      }
      return nil
    }
    if let option = vocabularySize != nil ? "--vocabulary-size" : minimumCount != nil ? "--min-count" : nil {
      throw Failure(.usage, "the vocabulary is that of \(vocabularyFrom)", at: option, remedy: "leave the option out")
    }
    let vocabulary =
      if CorpusReader.isCorpus(vocabularyFrom) {
        try CorpusReader.vocabulary(of: vocabularyFrom)
      } else {
        try CheckpointReader(path: CheckpointStore.resolve(vocabularyFrom, in: ".")).vocabulary()
      }
    guard tokenizer ?? vocabulary.tokenizer == vocabulary.tokenizer else {
      throw Failure(
        .usage, "the vocabulary of \(vocabularyFrom) belongs to the \(vocabulary.tokenizer) tokenizer",
        at: "--tokenizer", remedy: "leave the option out")
    }
    return vocabulary
  }

  /// Rejects arguments that name a file but look like options: the parser would read `-tune.txt` as several of them.
  static func checkArguments(_ arguments: [String]) throws {
    for argument in arguments.prefix(while: { $0 != "--" }) where argument.hasPrefix("-") && !argument.hasPrefix("--") {
      guard argument.count > 1, FileManager.default.fileExists(atPath: argument) else { continue }
      throw Failure(.usage, "'\(argument)' looks like an option", remedy: "for the file, write ./\(argument)")
    }
  }
}

extension TaskName: ExpressibleByArgument {}
extension Tokenizer: ExpressibleByArgument {}
extension UnknownSymbols: ExpressibleByArgument {}
