import Failures
import Yams

/// A parsed configuration file: its keys, all of them known, and their places.
struct ConfigurationDocument {
  /// By the key's path, such as `model.layers`.
  private(set) var given: [String: GivenValue] = [:]
  /// The place of each section that the file has.
  private(set) var sectionPlaces: [String: String] = [:]
  let source: String

  /// Parses `yaml`; `source` is the file's name in messages.
  ///
  /// - Throws: ``Failure`` for text that is not YAML or not a mapping of sections, and for an unknown key.
  init(yaml: String, source: String) throws(Failure) {
    self.source = source
    // A byte order mark is not part of the text (YAML 1.2, section 5.2).
    let text = yaml.unicodeScalars.first == "\u{FEFF}" ? String(yaml.unicodeScalars.dropFirst()) : yaml
    try YAMLKeys.check(text, source)
    guard let root = try Self.parse(text, source) else {
      throw Failure(
        .usage, "there is no configuration in this file", at: "\(source):1:1",
        remedy: "start from one of the recipes in configs/")
    }
    guard case .mapping(let sections) = root else {
      throw Failure(
        .usage, "a configuration is a mapping of sections", at: place(of: root),
        remedy: "write '\(RunConfiguration.sections[0]):' and its keys below it")
    }
    for (key, value) in sections { try read(section: key, value) }
  }

  /// The place to report for a key that is missing from `section`.
  func place(ofSection section: String) -> String { sectionPlaces[section] ?? "\(source):1:1" }

  private mutating func read(section key: Node, _ value: Node) throws(Failure) {
    let name = key.scalar?.string ?? ""
    if RunConfiguration.keysByPath[name] != nil {
      given[name] = GivenValue(content: Self.content(of: value), place: place(of: value), isOverride: false)
      return
    }
    guard RunConfiguration.sections.contains(name) else {
      throw UnknownKey(name: name, section: nil).failure(at: place(of: key))
    }
    guard case .mapping(let entries) = value else {
      throw Failure(
        .usage, "section '\(name)' has no keys", at: place(of: key), remedy: "write its keys below it, or remove it")
    }
    sectionPlaces[name] = place(of: key)
    for (key, value) in entries {
      let path = "\(name).\(key.scalar?.string ?? "")"
      guard RunConfiguration.keysByPath[path] != nil else {
        throw UnknownKey(name: key.scalar?.string ?? "", section: name).failure(at: place(of: key))
      }
      given[path] = GivenValue(content: Self.content(of: value), place: place(of: value), isOverride: false)
    }
  }

  private func place(of node: Node) -> String {
    "\(source):\(node.mark?.line ?? 1):\(node.mark?.column ?? 1)"
  }

  private static func content(of node: Node) -> GivenValue.Content {
    switch node {
    case .scalar(let scalar):
      let isQuoted = scalar.style != .plain && scalar.style != .any
      let isNothing = !isQuoted && ["", "~", "null", "Null", "NULL"].contains(scalar.string)
      return isNothing ? .nothing : .scalar(scalar.string, isQuoted: isQuoted)
    case .mapping: return .mapping
    case .sequence: return .list
    case .alias: return .nothing  // Never comes from the parser, which substitutes the anchored node.
    }
  }
}

// MARK: - Syntax

extension ConfigurationDocument {
  private static func parse(_ yaml: String, _ source: String) throws(Failure) -> Node? {
    do {
      return try compose(yaml: yaml, .default, .default, .utf8)
    } catch let error as YamlError {
      throw failure(for: error, source)
    } catch {
      throw Failure(.usage, "not valid YAML", at: "\(source):1:1", cause: "\(error)")
    }
  }

  private static func failure(for error: YamlError, _ source: String) -> Failure {
    func failure(_ what: String, _ line: Int, _ column: Int, cause: String? = nil, remedy: String? = nil) -> Failure {
      Failure(.usage, what, at: "\(source):\(line):\(column)", cause: cause, remedy: remedy)
    }
    switch error {
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _):
      let cause = context.map { "\($0.text) that began in line \($0.mark.line), \(problem)" } ?? problem
      return failure(
        "not valid YAML", mark.line, mark.column, cause: cause,
        remedy: "check the indentation, the colons and the brackets here and in the line before")
    case .composer(_, let problem, let mark, _) where problem.contains("another document"):
      return failure("a second YAML document begins", mark.line, mark.column, remedy: "keep one document in a file")
    case .composer(_, let problem, let mark, _):
      return failure("not valid YAML", mark.line, mark.column, cause: problem)
    case .duplicatedKeysInMapping(let duplicates, let context):
      let keys = duplicates.map { "'\($0)'" }.joined(separator: ", ")
      return failure(
        "\(keys) is given here and again below", context.mark.line, context.mark.column, remedy: "keep one of them")
    case .reader(let problem, let offset, _, let yaml):
      let before = yaml.prefix(offset ?? 0)
      let column = (before.split(separator: "\n", omittingEmptySubsequences: false).last?.unicodeScalars.count ?? 0) + 1
      return failure(
        "not a text file", before.count(where: \.isNewline) + 1, column, cause: problem, remedy: "remove the character")
    default:
      return failure("not valid YAML", 1, 1, cause: "\(error)")
    }
  }
}
