import Files
import HDF5

extension CheckpointHeader {
  /// Writes everything, including the groups /training and /optimizer.
  func write(to file: H5File) throws {
    try file.setAttribute("format", SealedFormat.checkpoint.name)
    try file.setAttribute("format_version", SealedFormat.checkpoint.currentVersion)
    try file.setAttribute("creator", creator)
    try file.setAttribute("created", created)
    try file.createDataset("config", configuration)

    let vocabulary = try file.createDataset("vocabulary", vocabulary)
    try vocabulary.setAttribute("tokenizer", tokenizer)
    if let unknownToken { try vocabulary.setAttribute("unknown_token", unknownToken) }

    let training = try file.createGroup("training")
    try training.setAttribute("step", step)
    try training.setAttribute("epoch", epoch)
    try training.setAttribute("window", window)
    try training.setAttribute("seed", seed)
    try training.setAttribute("random_stream", randomStream)
    if let bestValidation { try training.setAttribute("best_validation", bestValidation) }
    try training.createGroup("state").write(trainingState)
    try training.createGroup("schedule").write(scheduleState, name: schedule)
    try file.createGroup("optimizer").write(optimizerState, name: optimizer)
  }

  /// The lowest validation loss so far; cheaper than the whole header.
  static func bestValidation(in file: H5File) throws -> Double? {
    let training = try file.openGroup("training")
    return try training.hasAttribute("best_validation")
      ? training.attribute("best_validation", as: Double.self) : nil
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
      unknownToken: try vocabulary.hasAttribute("unknown_token") ? vocabulary.attribute("unknown_token") : nil,
      optimizer: try optimizer.attribute("name"),
      optimizerState: try optimizer.numbers(),
      schedule: try schedule.attribute("name"),
      scheduleState: try schedule.numbers(),
      bestValidation: try Self.bestValidation(in: file),
      trainingState: try training.openGroup("state").numbers(),
      creator: try file.attribute("creator"))
    created = try file.attribute("created")
  }
}

extension H5Group {
  /// Writes a name and numbers as attributes.
  fileprivate func write(_ numbers: [String: Double], name: String? = nil) throws {
    precondition(numbers["name"] == nil, "the attribute 'name' is taken")
    if let name { try setAttribute("name", name) }
    for (key, value) in numbers.sorted(by: { $0.key < $1.key }) { try setAttribute(key, value) }
  }

  /// All attributes but the name, as numbers.
  fileprivate func numbers() throws -> [String: Double] {
    let keys = try attributeNames().filter { $0 != "name" }
    return try Dictionary(uniqueKeysWithValues: keys.map { ($0, try attribute($0, as: Double.self)) })
  }
}
