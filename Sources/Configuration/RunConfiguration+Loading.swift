import Failures

extension RunConfiguration {
  /// Reads a configuration file and applies overrides to it.
  ///
  /// - Parameters:
  ///   - path: a YAML file in UTF-8.
  ///   - overrides: arguments of `--set`, such as `model.layers=3`; the last one for a key wins.
  /// - Throws: ``Failure`` with status ``ExitStatus/usage`` and the place `file:line:column`, or the `--set`
  ///   argument, for an unreadable file, an unknown or missing key, and an invalid value.
  package init(contentsOf path: String, overrides: [String] = []) throws(Failure) {
    try self.init(yaml: readText(path), source: path, overrides: overrides)
  }

  /// Reads a configuration from text; `source` is the file's name in messages.
  ///
  /// - Throws: as ``init(contentsOf:overrides:)``.
  package init(yaml: String, source: String, overrides: [String] = []) throws(Failure) {
    let document = try ConfigurationDocument(yaml: yaml, source: source)
    let given = try Self.applying(overrides, to: document.given)
    self.init()
    let used = try store(given)
    try fillIn(whatIsMissingFrom: used, document)
    try checkRules { path in used[path]?.place ?? document.place(ofSection: path.section) }
  }

  private static func applying(
    _ overrides: [String], to file: [String: GivenValue]
  ) throws(Failure) -> [String: GivenValue] {
    var given = file
    for argument in overrides {
      let override = try ConfigurationOverride(argument)
      given[override.key.path] = override.given
    }
    // An override of steps replaces the file's epochs, and vice versa.
    for (asked, other) in [("training.epochs", "training.steps"), ("training.steps", "training.epochs")]
    where given[asked]?.isOverride == true && given[other]?.isOverride == false {
      given[other] = nil
    }
    return given
  }

  /// Checks and stores the given values.
  ///
  /// - Returns: the values that were used.
  private mutating func store(_ given: [String: GivenValue]) throws(Failure) -> [String: GivenValue] {
    var used = given
    // Unconditional keys first: whether the others apply depends on them.
    for key in Self.keys where key.condition == nil {
      if let value = given[key.path] { key.store(try value.value(for: key), &self) }
    }
    for key in Self.keys {
      guard let condition = key.condition, let value = given[key.path] else { continue }
      if key.applies(to: self) {
        key.store(try value.value(for: key), &self)
      } else if given[condition.selector]?.isOverride == true, !value.isOverride {
        used[key.path] = nil  // For example, `--set optimizer.name=adam` drops the file's SGD momentum.
      } else if try condition.neutral != value.value(for: key) {
        throw misplaced(key, condition, at: value.place)
      }
    }
    return used
  }

  private mutating func fillIn(
    whatIsMissingFrom given: [String: GivenValue], _ document: ConfigurationDocument
  ) throws(Failure) {
    for key in Self.keys where given[key.path] == nil {
      switch key.fallback {
      case .required:
        throw Failure(
          .usage, "'\(key.path)' is missing", at: document.place(ofSection: key.section ?? ""),
          remedy: "add '\(key.name)' to section '\(key.section ?? "")': \(key.form.description)")
      case .derived(_, let derive): if key.applies(to: self) { derive(&self) }
      case .initial, .absent: break
      }
    }
  }

  private func misplaced(
    _ key: ConfigurationKey, _ condition: ConfigurationKey.Condition, at place: String
  ) -> Failure {
    let chosen = Self.keysByPath[condition.selector]?.load(self)?.yaml ?? ""
    return Failure(
      .usage, "'\(key.path)' does not belong to \(condition.selector) '\(chosen)'", at: place,
      remedy: "remove it, or choose \(condition.words.joined(separator: " or "))")
  }
}

extension String {
  /// The section of a key's path: `model` of `model.layers`.
  fileprivate var section: String { String(prefix { $0 != "." }) }
}
