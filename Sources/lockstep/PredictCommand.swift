import ArgumentParser
import Checkpoints
import Configuration
import Failures
import Files
import Foundation
import Inference
import Interfaces
import Kernels
import Signals
import Training
import Workers

struct PredictCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict",
    abstract: "Answer lines of text with a checkpoint.",
    discussion: """
      Each line is a sentence, its words set apart by blanks as in the corpus; the answer is a line with a label for each \
      word. An empty line has an empty answer. Words that the model does not know are <unk>. With --json an answer is one \
      JSON object on a line: words, labels, and for each word the probability of every label; of a conditional random \
      field these are marginals, whose most probable label may differ from the most probable labels of the sentence.
      """)

  @Argument(help: "Checkpoint, or run directory (its latest).", completion: .file(), transform: PathName.expandingHome)
  var checkpoint: String

  @Argument(
    help: "Text file; '-' is standard input. (default: -)", completion: .file(), transform: PathName.expandingHome)
  var text: String?

  @Flag(help: "Print a JSON object for each line, with probabilities.")
  var json = false

  @OptionGroup var kernels: KernelOptions
  @OptionGroup var memoryLimit: MemoryLimitOption

  /// Lines that are answered together.
  private static let most = 64

  func run() throws {
    let arithmetic = try kernels.arithmetic()
    let reader = try CheckpointReader.open(checkpoint)
    let architecture = try reader.taggerArchitecture()
    try checkMemory(PackedParameters.bytes(architecture.layout, precision: .f32, needsBackward: false))
    let labeller = Labeller(
      architecture, try reader.readWeights(architecture, arithmetic), vocabulary: try reader.vocabulary(),
      labels: reader.header.labels ?? [])
    let lines = try LineReader(path: text, willContinue: StopSignal.check)
    var checked = 0
    while let first = try lines.next() {
      try StopSignal.check()
      var group = [first]
      while group.count < Self.most, lines.hasLine, let line = try lines.next() { group.append(line) }
      let words = group.map { $0.text.split(whereSeparator: \.isWhitespace).map(String.init) }
      let bytes = labeller.bytes(words)
      if bytes > checked {
        try checkMemory(bytes)
        checked = bytes
      }
      for answer in try labeller.label(words, withProbabilities: json) {
        try StandardOutput.print(json ? try self.json(answer, labeller.labels) : answer.labels.joined(separator: " "))
      }
    }
  }

  /// Throws ``Failure`` (usage) unless so many bytes may be allocated.
  private func checkMemory(_ bytes: Int) throws {
    _ = try MemoryBudget(
      SingleWorker(), weights: 0, areShared: true, own: bytes, given: memoryLimit.size?.bytes,
      key: MemoryLimitOption.key, what: "prediction", remedy: "give shorter lines, or use a machine with more memory")
  }

  /// One line.
  private func json(_ answer: Labeller.Answer, _ labels: [String]) throws -> String {
    struct Members: Encodable {
      let words: [String]
      let labels: [String]
      let probabilities: [[String: Double]]
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let members = Members(
      words: answer.words, labels: answer.labels,
      probabilities: (answer.probabilities ?? []).map { Dictionary(uniqueKeysWithValues: zip(labels, $0)) })
    return String(decoding: try encoder.encode(members), as: UTF8.self)
  }
}
