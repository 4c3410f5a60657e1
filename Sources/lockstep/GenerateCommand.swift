import ArgumentParser
import Checkpoints
import Configuration
import Failures
import Files
import Inference
import Kernels
import Models
import Sharding
import Training
import Workers

struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Write text with a checkpoint.",
    discussion: """
      The same checkpoint, prompt, options and seed give the same text. Without a prompt the text begins a new line.
      """)

  @Argument(help: "Checkpoint, or run directory (its latest).", completion: .file(), transform: PathName.expandingHome)
  var checkpoint: String

  @Option(parsing: .unconditional, help: "Text that the output continues.")
  var prompt: String = ""

  @Option(help: "Tokens to write.")
  var length: Int = 500

  @Option(help: "Divides the logits; 0 takes the most probable token each time.")
  var temperature: Double = 1

  @Option(name: .customLong("top-k"), help: "Draw from the k most probable tokens only.")
  var topK: Int?

  @Option(name: .customLong("top-p"), help: "Draw from the most probable tokens that reach this probability together.")
  var topP: Double = 1

  @Option(help: "Seed of the random numbers.")
  var seed: UInt64 = 1

  @OptionGroup var kernels: KernelOptions
  @OptionGroup var memoryLimit: MemoryLimitOption

  func run() throws {
    guard length >= 0 else {
      throw Failure(.usage, "can't write \(length) tokens", at: "--length", remedy: "give 0 or more")
    }
    if (try? Seal.isPresent(in: checkpoint, as: .nGramModel)) == true {
      throw Failure(
        .badData, "is an n-gram model, not a recurrent language model", at: checkpoint,
        remedy: "name a checkpoint of a run with task language_model")
    }
    let arithmetic = try kernels.arithmetic()
    let sampler = try Sampler(temperature: temperature, topK: topK, topP: topP, seed: seed)
    let reader = try CheckpointReader.open(checkpoint)
    let vocabulary = try reader.vocabulary()
    let start = try vocabulary.encode(prompt)
    let architecture = try reader.languageArchitecture()
    _ = try MemoryBudget(
      SingleWorker(), weights: PackedParameters.bytes(architecture.layout, precision: .f32, needsBackward: false),
      areShared: true, own: 0, given: memoryLimit.size?.bytes, key: MemoryLimitOption.key, what: "generation",
      remedy: "use a machine with more memory")
    let decoder = try LanguageScorer(
      architecture, try reader.readWeights(architecture, arithmetic), BatchPlan(window: 1, sequences: 1, shards: 1),
      rank: 0)
    let generator = Generator(decoder, vocabulary: vocabulary, sampler: sampler)
    try StandardOutput.write(Array(prompt.utf8))
    try generator.generate(prompt: start, length: length) { try StandardOutput.write($0) }
    try StandardOutput.write([UInt8(ascii: "\n")])
  }
}
