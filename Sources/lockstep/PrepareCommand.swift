import ArgumentParser
import Corpus
import Files

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
        word  a token is what stands between white space (as Unicode defines it); each line end, LF or CR LF, is \
      <eos>, also at the end of a last line without one. The vocabulary is made from the train split alone: <unk>, \
      <eos>, then by falling frequency, ties in code-point order. Every other word is <unk>. The words <unk> and \
      <eos> in the text are these tokens.

      SPLITS
        With --valid and --test the texts are the train split. Otherwise the token sequence of length N is cut at \
      int(a*N) and int((a+b)*N) for --split a,b,c. Every split needs at least two tokens.

      The output appears under its name when it is complete, and not at all if anything fails.
      """)

  @Argument(help: "Text files.", completion: .file())
  var texts: [String] = []

  @Option(help: "Directory to create.", completion: .directory)
  var output: String

  @Option(help: "What a token is: char, byte or word.")
  var tokenizer: Tokenizer = .char

  @Option(help: "Largest vocabulary, special tokens included; the most frequent tokens are kept.")
  var vocabularySize: Int?

  @Option(name: .customLong("min-count"), help: "Leave out tokens that occur less often. (default: 1)")
  var minimumCount: Int?

  @Option(help: "Number of files that each split is written to.")
  var shards: Int = 1

  @Option(help: "Fractions of train, valid and test. (default: 0.9,0.05,0.05)")
  var split: String?

  @Option(help: "Text file of the validation split; may be repeated.", completion: .file())
  var valid: [String] = []

  @Option(help: "Text file of the test split; may be repeated.", completion: .file())
  var test: [String] = []

  @Flag(help: "Replace the output if it is a corpus.")
  var force = false

  func run() throws {
    let recipe = try CorpusRecipe(
      texts: texts, splitting: .init(fractions: split, valid: valid, test: test), tokenizer: tokenizer,
      limits: .init(size: vocabularySize, minimumCount: minimumCount, for: tokenizer), shards: shards, output: output,
      replacesOutput: force)
    let line = ProgressLine()
    InterruptFlag.install()
    do {
      let report = try CorpusBuilder(recipe) { progress in
        try InterruptFlag.check()
        line.update(progress.line)
      }.run()
      line.clear()
      StandardError.print(report.text)
    } catch let interrupt as InterruptFlag.Interrupted {
      line.clear()
      InterruptFlag.end(by: interrupt.signal)
    } catch {
      line.clear()
      throw error
    }
  }
}

extension Tokenizer: ExpressibleByArgument {}
