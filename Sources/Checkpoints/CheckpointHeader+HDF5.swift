import Files
import HDF5

extension CheckpointHeader {
  /// Writes the whole header; creates the groups /training and /optimizer.
  func write(to file: H5File) throws {
    try file.setAttribute("format", SealedFormat.checkpoint.name)
    try file.setAttribute("format_version", SealedFormat.checkpoint.currentVersion)
    try file.setAttribute("creator", creator)
    try file.setAttribute("created", created)
    if let run {
      try file.setAttribute("run", run.id)
      if let parent = run.parent {
        if let id = parent.run { try file.setAttribute("parent_run", id) }
        try file.setAttribute("parent_step", parent.step)
      }
    }
    if let corpusDigest { try file.setAttribute("corpus_digest", corpusDigest) }
    if let instructionSet { try file.setAttribute("instruction_set", instructionSet) }
    if let precision { try file.setAttribute("precision", precision) }
    try file.createDataset("config", configuration)

    let vocabulary = try file.createDataset("vocabulary", vocabulary)
    try vocabulary.setAttribute("tokenizer", tokenizer)
    if let unknownToken { try vocabulary.setAttribute("unknown_token", unknownToken) }

    if let labels { try file.createDataset("labels", labels) }

    let training = try file.createGroup("training")
    try training.setAttribute("step", step)
    try training.setAttribute("epoch", epoch)
    try training.setAttribute("window", window)
    try training.setAttribute("seed", seed)
    try training.setAttribute("random_stream", randomStream)
    if let validation { try training.setAttribute("validation", validation) }
    if let metricsBytes { try training.setAttribute("metrics_bytes", metricsBytes) }
    if let bestValidation { try training.setAttribute("best_validation", bestValidation) }
    try training.createGroup("state").write(trainingState)
    try training.createGroup("schedule").write(scheduleState, name: schedule)
    try file.createGroup("optimizer").write(optimizerState, name: optimizer)
  }

  init(from file: H5File) throws {
    let training = try file.openGroup("training")
    let schedule = try training.openGroup("schedule")
    let optimizer = try file.openGroup("optimizer")
    let vocabulary = try file.openDataset("vocabulary")
    self.init(
      step: try training.attribute("step", as: Int.self),
      epoch: try training.attribute("epoch", as: Int.self),
      window: try training.attribute("window", as: Int.self),
      seed: try training.attribute("seed", as: UInt64.self),
      randomStream: try training.attribute("random_stream"),
      configuration: try file.openDataset("config").readText(),
      tokenizer: try vocabulary.attribute("tokenizer"),
      vocabulary: try vocabulary.readTexts(),
      unknownToken: try vocabulary.text("unknown_token"),
      optimizer: try optimizer.attribute("name"),
      optimizerState: try optimizer.numbers(),
      schedule: try schedule.attribute("name"),
      scheduleState: try schedule.numbers(),
      bestValidation: try training.number("best_validation"),
      trainingState: try training.openGroup("state").numbers(),
      run: try Self.run(in: file),
      validation: try training.number("validation"),
      corpusDigest: try file.text("corpus_digest"),
      instructionSet: try file.text("instruction_set"),
      precision: try file.text("precision"),
      metricsBytes: try training.number("metrics_bytes"),
      creator: try file.attribute("creator"))
    labels = try file.contains("labels") ? file.openDataset("labels").readTexts() : nil
    created = try file.attribute("created")
  }

  private static func run(in file: H5File) throws -> RunIdentity? {
    guard let id = try file.text("run") else { return nil }
    let step: Int? = try file.number("parent_step")
    return RunIdentity(id: id, parent: try step.map { .init(run: try file.text("parent_run"), step: $0) })
  }
}

extension H5Object {
  /// The text of an attribute; nil if there is none.
  fileprivate func text(_ name: String) throws -> String? { try hasAttribute(name) ? attribute(name) : nil }

  /// The number in an attribute; nil if there is none.
  fileprivate func number<Element: H5Element>(_ name: String) throws -> Element? {
    try hasAttribute(name) ? attribute(name, as: Element.self) : nil
  }
}

extension H5Group {
  /// Writes `numbers`, and `name` if given, as attributes.
  fileprivate func write(_ numbers: [String: Double], name: String? = nil) throws {
    precondition(numbers["name"] == nil, "the attribute 'name' is taken")
    if let name { try setAttribute("name", name) }
    for (key, value) in numbers.sorted(by: { $0.key < $1.key }) { try setAttribute(key, value) }
  }

  /// All attributes except `name`.
  fileprivate func numbers() throws -> [String: Double] {
    let keys = try attributeNames().filter { $0 != "name" }
    return try Dictionary(uniqueKeysWithValues: keys.map { ($0, try attribute($0, as: Double.self)) })
  }
}
