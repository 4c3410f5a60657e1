import Configuration
import Foundation
import Testing

@Suite struct RecipeTests {
  private static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appending(path: "../../configs").standardizedFileURL

  private func recipe(_ name: String) throws -> RunConfiguration {
    try RunConfiguration(contentsOf: Self.directory.appending(path: "\(name).yaml").path)
  }

  @Test func everyRecipeIsValidAndBeginsWithItsSource() throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: Self.directory.path).sorted()
    #expect(
      Set(files).isSuperset(of: [
        "char-small.yaml", "quickstart.yaml", "zaremba-large.yaml", "zaremba-medium.yaml", "zaremba-small.yaml",
      ]))
    for file in files {
      let path = Self.directory.appending(path: file).path
      _ = try RunConfiguration(contentsOf: path)
      #expect(try String(contentsOfFile: path, encoding: .utf8).hasPrefix("# "), "\(file)")
    }
  }

  @Test(arguments: [
    ("small", 200, 0.1, 20, 0.0, 2.0, 4, 13, 5.0), ("medium", 650, 0.05, 35, 0.5, 1.2, 6, 39, 5.0),
    ("large", 1500, 0.04, 35, 0.65, 1.15, 14, 55, 10.0),
  ])
  func zarembaRecipesAreThoseOfThePaper(
    name: String, hidden: Int, range: Double, window: Int, dropout: Double, decay: Double, afterEpoch: Int,
    epochs: Int, clip: Double
  ) throws {
    let configuration = try recipe("zaremba-\(name)")
    #expect(configuration.model.layers == 2)
    #expect(configuration.model.hiddenSize == hidden)
    #expect(configuration.model.initialRange == range)
    #expect(configuration.model.dropout == dropout)
    #expect(configuration.data.window == window)
    #expect(configuration.data.streams == 20)
    #expect(configuration.optimizer.learningRate == 1)
    #expect(configuration.schedule.factor == 1 / decay)
    #expect(configuration.schedule.afterEpoch == afterEpoch)
    #expect(configuration.training.length == .epochs(epochs))
    #expect(configuration.training.clipNorm == clip)
    #expect(configuration.training.lossReduction == .windowSum)
  }

  /// Keys of runs of every kind, as their files have them.
  @Test func theReferenceHasEachKeyOfEachRunUnderItsSection() throws {
    let overrides: [[String]] = [
      ["model.cell=gru", "optimizer.name=adam"], ["model.cell=elman", "optimizer.name=rmsprop"],
      ["optimizer.momentum=0.5", "schedule.name=step_decay"], ["optimizer.name=adagrad", "schedule.name=plateau"],
      ["schedule.name=cosine", "training.memory_limit=4 GiB", "model.initial_parameters=weights.h5"],
    ]
    var texts = try overrides.map { try RunConfiguration(yaml: minimal, source: "c.yaml", overrides: $0).yaml }
    texts.append(
      try RunConfiguration(yaml: "task: tagging\n" + minimal, source: "c.yaml", overrides: ["data.batch=3"]).yaml)
    let sections = RunConfiguration.reference.components(separatedBy: "### ").dropFirst()
    var found: Set<String> = []
    for line in texts.joined(separator: "\n").split(separator: "\n").map(String.init) {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let name = line[..<colon].trimmingCharacters(in: .whitespaces)
      guard line.hasPrefix("  ") else { continue }
      #expect(sections.contains { $0.contains("\n| `\(name)` |") }, "\(name)")
      found.insert(name)
    }
    #expect(found.count > 40, "\(found.count)")
    #expect(RunConfiguration.reference.contains("| `hidden_size` | an integer from 1 to 65536 | required |"))
    #expect(RunConfiguration.reference.contains("| `window` | an integer from 1 to 100000 | `35` |"))
  }

  /// `lockstep config` prints what the documentation shows.
  @Test func theDocumentationHasTheReference() throws {
    let page = Self.directory.appending(path: "../Sources/lockstep/Lockstep.docc/Configuration.md").standardizedFileURL
    let text = try String(contentsOf: page, encoding: .utf8)
    let start = try #require(text.range(of: "<!-- reference -->")),
      end = try #require(text.range(of: "<!-- end of reference -->"))
    #expect(
      text[start.upperBound..<end.lowerBound].trimmingCharacters(in: .whitespacesAndNewlines)
        == RunConfiguration.reference.trimmingCharacters(in: .whitespacesAndNewlines))
  }
}
