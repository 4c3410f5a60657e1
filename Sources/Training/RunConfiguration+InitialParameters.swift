import Checkpoints
import Configuration
import Corpus
import Failures
import Interfaces
import Parameters

extension RunConfiguration {
  /// Fills the parameters with the tensors of a file, as strictly as PyTorch's `load_state_dict`: exactly the model's
  /// tensors, with the same shapes and finite values, for the same vocabulary and the same kind of model.
  ///
  /// - Returns: a line for the log that says what was loaded.
  /// - Throws: ``Failure`` (bad data) that names the differences.
  func load(
    _ path: String, into store: ParameterStore, _ architecture: any Architecture, corpus: CorpusReader?
  ) throws -> String {
    let file = try InitialParameters(path: path)
    try checkNames(file, architecture)
    try checkSettings(file)
    if let corpus, let (name, tokens) = try file.vocabulary(), let tokenizer = Tokenizer(rawValue: name) {
      try corpus.checkVocabulary(Vocabulary(tokenizer: tokenizer, tokens: tokens), ofModel: file.path)
    }
    if let corpus, let labels = try file.labels() { try corpus.checkLabels(labels, ofModel: file.path) }
    for parameter in store.layout.parameters {
      try file.readFinite(parameter.name, shape: parameter.shape, into: store[parameter])
    }
    let tied = try checkTied(file, store, architecture)
    var line = "initial parameters: all \(store.layout.parameters.count) tensors of the model from \(file.path)"
    if file.isWrapped { line += ", where their names begin with 'module.'" }
    if tied {
      line +=
        "; its \(architecture.alias?.name ?? "") equals \(architecture.alias?.parameter.name ?? ""), as in a tied model"
    }
    if model.forgetBias != 0 { line += "; model.forget_bias has no effect on them" }
    return line
  }

  private func checkNames(_ file: InitialParameters, _ architecture: any Architecture) throws {
    let needed = architecture.layout.parameters
    let there = Dictionary(file.parameters.map { ($0.name, $0.shape) }, uniquingKeysWith: { first, _ in first })
    var reasons: [String] = []
    let missing = needed.filter { there[$0.name] == nil }.map(\.name)
    let names = Set(needed.map(\.name))
    let extra = file.parameters.map(\.name).filter { !names.contains($0) && $0 != architecture.alias?.name }
    if !missing.isEmpty { reasons.append("it lacks \(missing.joined(separator: ", "))") }
    if !extra.isEmpty { reasons.append("it also has \(extra.joined(separator: ", "))") }
    for parameter in needed {
      guard let shape = there[parameter.name], shape != parameter.shape else { continue }
      reasons.append("\(parameter.name) has shape \(shape) where \(parameter.shape) is needed")
    }
    guard !reasons.isEmpty else { return }
    throw Failure(
      .badData, "does not hold the parameters of this model", at: file.path, cause: reasons.joined(separator: "; "),
      remedy: "configure the model that they are of, with a corpus of its vocabulary, or give other weights")
  }

  /// Checks that the decoder, if the file of a tied model has it too, equals the embedding.
  ///
  /// - Returns: whether the file has it.
  private func checkTied(
    _ file: InitialParameters, _ store: ParameterStore, _ architecture: any Architecture
  ) throws -> Bool {
    guard let alias = architecture.alias, file.parameters.contains(where: { $0.name == alias.name }) else {
      return false
    }
    let (name, table) = (alias.name, alias.parameter)
    let decoder = try FloatBuffer(count: table.count)
    try file.readFinite(name, shape: table.shape, into: decoder.buffer)
    guard zip(decoder.buffer, store[table]).allSatisfy({ $0 == $1 }) else {
      throw Failure(
        .badData, "its \(name) differs from its \(table.name), and the model has one for both",
        at: file.path,
        remedy: "set model.tie_weights to false, or give weights of a tied model")
    }
    return true
  }

  /// The keys that change the meaning of tensors whose names and shapes are equal.
  private static let settings = ["task", "model.cell", "model.activation", "model.reset"]

  private func checkSettings(_ file: InitialParameters) throws {
    // A dataset of this name from another program or a later version is ignored.
    guard let text = try file.configuration(), let saved = try? RunConfiguration(yaml: text, source: file.path) else {
      return
    }
    let different = differences(from: saved).filter { Self.settings.contains($0.key) }
    guard !different.isEmpty else { return }
    let list = different.map { "\($0.key) is \($0.saved ?? "unset") there and \($0.requested ?? "unset") here" }
    throw Failure(
      .badData, "was trained as another kind of model", at: file.path, cause: list.joined(separator: "; "),
      remedy: "set the same here, or give other weights")
  }
}
